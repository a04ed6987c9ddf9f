// Unpack the Chromium of @sparticuz/chromium below a folder: `node unpack.js PACKAGE FOLDER`.
//
// The package's own function unpacks only what the machine of its maker needs.
import { createReadStream, createWriteStream, readdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createBrotliDecompress } from 'node:zlib'

const [packed, folder] = process.argv.slice(2).map((path) => resolve(path))
for (const name of readdirSync(packed).filter((name) => name.endsWith('.br'))) {
  const written = createWriteStream(join(folder, name.slice(0, -'.br'.length)))
  await pipeline(createReadStream(join(packed, name)), createBrotliDecompress(), written)
}
