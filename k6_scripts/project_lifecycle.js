// Workload project_lifecycle: Projects are created, become Ready, are deleted and are gone.
//
// Open model (see lib/turn.js).  A watch on the one Project tells when it is Ready and gone, so
// no interval of polling is part of the times; Kubernetes sends watches over WebSockets.  OBJECTS
// (2) Secrets are put into each Project, so that its deletion has something to clean up; TIMEOUT_S
// (30) is how long a Project may take in all; HOLD_S (5): see openLoad.
//
// `project_ready` begins when the creation is answered, so that a slow creation shows only in
// itself; `project_gone` begins when the deletion is sent, because a fast server says "gone" before
// it has answered.  k6 runs one handler at a time: an event that comes while a request of the same
// iteration is out is seen once that is answered, and no time can be less than that.

import { Counter } from 'k6/metrics'
import ws from 'k6/ws'
import { authorization, createAll, del, now, post, timing } from './lib/api.js'
import { arms, number, seed, timeoutS } from './lib/settings.js'
import { connect, handleSummary, hash, openLoad, takeTurn } from './lib/turn.js'
import {
  ORGANIZATIONS,
  PROJECTS,
  isReady,
  object,
  objectsOf,
  organization,
  payloadOf,
  project,
} from './lib/milo.js'

const OBJECTS = number('OBJECTS', 2)
const PAYLOAD = payloadOf(number('OBJECT_BYTES', 1000), 'A')
const ready = timing('project_ready')
const gone = timing('project_gone')
const deleted = new Counter('projects_deleted')
const timeouts = new Counter('lifecycle_timeouts')

export const options = openLoad(number('HOLD_S', 5))
export { connect, handleSummary }

/** Make the Organization that owns the Projects, in every arm. */
export function setup() {
  const run = `life-${hash(seed, 0).toString(36)}-${Date.now().toString(36)}`
  createAll(arms.map((arm) => ({ arm, path: ORGANIZATIONS, object: organization(run) })))
  return { run }
}

/** @param {{run: string}} data */
export default function ({ run }) {
  const { arm, block } = takeTurn()
  const name = `${run}-${block}`
  const life = { arm, name, run, since: 0, stage: 'new' }
  const params = {
    headers: { ...authorization(arm), Origin: arm.url }, // no Origin, no WebSocket
    tags: { op: 'watch', resource: 'projects', name: 'watch projects' },
  }
  const query = `watch=true&resourceVersion=0&fieldSelector=metadata.name%3D${name}`
  const url = `${arm.url.replace(/^http/, 'ws')}${PROJECTS}?${query}`
  try {
    ws.connect(url, params, (socket) => follow(socket, life))
  } catch (error) {
    console.error(`the watch of ${name} broke: ${error}`)
  }
  if (life.stage !== 'gone' && life.stage !== 'refused') timeouts.add(1)
}

/** Create the Project once it is watched, and go on with each event. */
function follow(socket, life) {
  socket.on('open', () => {
    const made = post(life.arm, PROJECTS, project(life.name, life.run), op('create'))
    life.since = now()
    life.stage = made.status === 201 ? 'created' : 'refused'
    if (life.stage === 'refused') socket.close()
  })
  socket.on('message', (text) => {
    const { type, object: shown } = JSON.parse(text)
    if (life.stage === 'created' && isReady(shown)) onReady(socket, life)
    else if (life.stage === 'deleted' && type === 'DELETED') onGone(socket, life)
  })
  socket.on('error', (error) => console.error(`the watch of ${life.name}: ${error.error()}`))
  socket.setTimeout(() => socket.close(), timeoutS * 1000)
}

function onReady(socket, life) {
  ready(now() - life.since)
  const path = objectsOf(life.name, 'secrets')
  for (let i = 0; i < OBJECTS; i++) {
    const filling = object('secrets', `fill-${i}`, PAYLOAD)
    post(life.arm, path, filling, { op: 'fill', resource: 'secrets' })
  }
  life.since = now()
  const answer = del(life.arm, `${PROJECTS}/${life.name}`, op('delete'))
  life.stage = answer.status < 300 && answer.status > 0 ? 'deleted' : 'refused'
  if (life.stage === 'refused') socket.close()
}

function onGone(socket, life) {
  gone(now() - life.since)
  deleted.add(1)
  life.stage = 'gone'
  socket.close()
}

/** @param {string} name */
function op(name) {
  return { op: name, resource: 'projects' }
}
