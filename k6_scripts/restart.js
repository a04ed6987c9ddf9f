// Workload restart: how soon does deletion work again after the controllers were killed?
//
// setup() makes PROJECTS Projects in every arm, each with OBJECTS Secrets and as many ConfigMaps in the
// namespace `default`, and a second namespace.  One iteration in every arm asks the pipeline to kill the
// process that runs the controllers and to start it again: the controller-manager, or the server of a
// build that has none.  As soon as the server is ready (again), all Projects are deleted, and one watch
// follows them until they are gone, or for DEADLINE_S.
//
// It yields `gone_after_restart` (time from then until a Project is gone) and `all_gone_after_restart`
// (the same of the last one), the latency of op=delete, and counts of Projects deleted and never gone.
// It cannot tell a slow start of a controller-manager from controllers that take long to work on all
// Projects (compare few Projects with many), nor how long a server takes to start.

import exec from 'k6/execution'
import http from 'k6/http'
import { sleep } from 'k6'
import { Counter } from 'k6/metrics'
import ws from 'k6/ws'
import { authorization, createAll, del, get, now, timing } from './lib/api.js'
import { arms, deadlineS, number, required, seed } from './lib/settings.js'
import { handleSummary, hash } from './lib/turn.js'
import { fixedWork, takeTask } from './lib/work.js'
import { PROJECTS, fill, makeProjects, payloadOf } from './lib/milo.js'

const PROJECT_COUNT = number('PROJECTS')
const OBJECTS = number('OBJECTS', 5)
const PAYLOAD = payloadOf(number('OBJECT_BYTES', 1000), 'A')
const POLL_S = 0.05 // until a server that was restarted is ready
const RESTART_S = 60 // until the pipeline must have started the process again

const goneAfter = timing('gone_after_restart')
const allGoneAfter = timing('all_gone_after_restart')
const deleted = new Counter('projects_deleted')
const neverGone = new Counter('projects_never_gone')

export const options = fixedWork(1)
export { handleSummary }

/** Make the Projects and their objects, the same in every arm. */
export function setup() {
  const run = `gc-${hash(seed, 0).toString(36)}-${Date.now().toString(36)}`
  const names = makeProjects(run, PROJECT_COUNT)
  fill(names, OBJECTS, PAYLOAD)
  const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'other' } }
  createAll(
    names.flatMap((name) =>
      arms.map((arm) => ({ arm, path: `/projects/${name}/control-plane/api/v1/namespaces`, object: namespace })),
    ),
  )
  return { names }
}

/** @param {{names: string[]}} data */
export default function ({ names }) {
  const { arm } = takeTask()
  exec.vu.tags.phase = 'restart' // no request of it is part of the load
  restart(arm)
  const started = now()
  while (get(arm, '/readyz', { op: 'ready', resource: 'readyz' }).status !== 200) {
    if (now() - started > deadlineS * 1000) break
    sleep(POLL_S)
  }
  const since = now()
  exec.vu.tags.phase = 'load'
  const left = deleteAll(arm, names, since)
  for (let i = 0; i < left; i++) goneAfter(now() - since, true)
  allGoneAfter(now() - since, left > 0)
  deleted.add(names.length - left)
  neverGone.add(left)
}

/**
 * Let the pipeline kill the process with the controllers and start it again.
 * @param {import('./lib/settings.js').Arm} arm
 */
function restart(arm) {
  const url = required(`${arm.name.toUpperCase()}_RESTART_URL`)
  const answer = http.post(url, null, { timeout: `${RESTART_S}s`, tags: { op: 'restart', name: 'restart' } })
  if (answer.status !== 200) throw new Error(`the restart was answered ${answer.status}: ${answer.error || answer.body}`)
}

/**
 * Delete Projects and follow them; return how many are not gone at the deadline.
 * @param {import('./lib/settings.js').Arm} arm
 * @param {string[]} names
 * @param {number} since when the server was ready, by `now()`
 */
function deleteAll(arm, names, since) {
  const left = new Set(names)
  const params = {
    headers: { ...authorization(arm), Origin: arm.url }, // no Origin, no WebSocket
    tags: { op: 'watch', resource: 'projects', name: 'watch projects' },
  }
  const url = `${arm.url.replace(/^http/, 'ws')}${PROJECTS}?watch=true&resourceVersion=0`
  try {
    ws.connect(url, params, (socket) => {
      socket.on('open', () => {
        for (const name of names) del(arm, `${PROJECTS}/${name}`, { op: 'delete', resource: 'projects' })
      })
      socket.on('message', (text) => {
        const { type, object } = JSON.parse(text)
        if (type !== 'DELETED' || !left.delete(object.metadata.name)) return
        goneAfter(now() - since)
        if (left.size === 0) socket.close()
      })
      socket.on('error', (error) => console.error(`the watch of all Projects: ${error.error()}`))
      socket.setTimeout(() => socket.close(), deadlineS * 1000)
    })
  } catch (error) {
    console.error(`the watch of all Projects broke: ${error}`)
  }
  return left.size
}
