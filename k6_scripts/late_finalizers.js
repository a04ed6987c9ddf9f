// Workload late_finalizers: Projects are deleted whose objects have finalizers that are removed late.
//
// setup() makes ITERATIONS Projects in every arm.  Each has OBJECTS Secrets and as many ConfigMaps in
// the namespace `default` and again in the namespace `other`, and one more of each kind that has a
// finalizer: in `default` in every other Project, and in `other` in the rest, because an object in one
// namespace would hide that one in the other is not waited for.  All Projects are deleted at the same
// moment, and each is followed by a watch.  HOLD_S (30) seconds after the deletion the finalizers of the
// first Project are removed, SPACING_S (0.5) seconds later those of the next, and so on.  A Project has
// DEADLINE_S from then on to be gone.
//
// It yields `project_finalized` (time from the removal of the last finalizer until the Project is
// gone), the latency of op=delete and op=finalize, and counts: `projects_gone_early` (the Project, or
// an object of it, was gone before a finalizer was removed), projects deleted and never gone.  What is
// left in etcd is told by a probe.  It cannot see how long a deletion without finalizers takes.

import { Counter } from 'k6/metrics'
import ws from 'k6/ws'
import { authorization, createAll, del, now, put, timing } from './lib/api.js'
import { arms, deadlineS, number, seed } from './lib/settings.js'
import { handleSummary, hash } from './lib/turn.js'
import { fixedWork, takeTask } from './lib/work.js'
import { PROJECTS, RESOURCES, fill, makeProjects, object, payloadOf } from './lib/milo.js'

/** @typedef {import('./lib/settings.js').Arm} Arm */

const PROJECT_COUNT = number('ITERATIONS')
const OBJECTS = number('OBJECTS', 5)
const HOLD_S = number('HOLD_S', 30)
const SPACING_S = number('SPACING_S', 0.5)
const RETRY_S = 1 // until a finalizer that could not be removed is tried again
const PAYLOAD = payloadOf(number('OBJECT_BYTES', 1000), 'A')
const OTHER = 'other'
const FINALIZER = 'milo-perf.invalid/late'

const finalized = timing('project_finalized')
const deleted = new Counter('projects_deleted')
const neverGone = new Counter('projects_never_gone')
const goneEarly = new Counter('projects_gone_early')

export const options = fixedWork(PROJECT_COUNT)
export { handleSummary }

/** Make the Projects and their objects, the same in every arm. */
export function setup() {
  const run = `gc-${hash(seed, 0).toString(36)}-${Date.now().toString(36)}`
  const names = makeProjects(run, PROJECT_COUNT)
  fill(names, OBJECTS, PAYLOAD)
  const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: OTHER } }
  everywhere(names, (name) => [{ path: namespacesOf(name), object: namespace }])
  for (let i = 0; i < OBJECTS; i++) {
    everywhere(names, (name) => RESOURCES.map((resource) => made(name, OTHER, resource, `fill-${i}`)))
  }
  everywhere(names, (name, index) => RESOURCES.map((resource) => held(name, namespaceOf(index), resource)))
  return { names }
}

/** @param {{names: string[]}} data */
export default function ({ names }) {
  const { arm, index } = takeTask()
  const name = names[index]
  const holdS = HOLD_S + SPACING_S * index
  const left = RESOURCES.map((resource) => ({
    resource,
    path: `${namespacesOf(name)}/${namespaceOf(index)}/${resource}/held`,
  }))
  let isDeleted = false
  let since = 0
  let isGone = false
  let isForced = false // an object was gone before its finalizer was removed
  const params = {
    headers: { ...authorization(arm), Origin: arm.url }, // no Origin, no WebSocket
    tags: { op: 'watch', resource: 'projects', name: 'watch projects' },
  }
  const query = `watch=true&resourceVersion=0&fieldSelector=metadata.name%3D${name}`
  try {
    ws.connect(`${arm.url.replace(/^http/, 'ws')}${PROJECTS}?${query}`, params, (socket) => {
      const remove = () => {
        while (left.length > 0) {
          const { path, resource } = left[0]
          if (left.length === 1) since = now()
          const { status } = put(arm, path, object(resource, 'held', PAYLOAD), { op: 'finalize', resource })
          if (status === 404) isForced = true
          else if (status !== 200) return socket.setTimeout(remove, RETRY_S * 1000)
          left.shift()
        }
      }
      socket.on('open', () => {
        const { status } = del(arm, `${PROJECTS}/${name}`, { op: 'delete', resource: 'projects' })
        isDeleted = status > 0 && status < 300
        if (!isDeleted) return socket.close()
        socket.setTimeout(remove, holdS * 1000)
        socket.setTimeout(() => socket.close(), (holdS + deadlineS) * 1000)
      })
      socket.on('message', (text) => {
        if (JSON.parse(text).type !== 'DELETED') return
        isGone = true
        socket.close()
      })
      socket.on('error', (error) => console.error(`the watch of ${name}: ${error.error()}`))
    })
  } catch (error) {
    console.error(`the watch of ${name} broke: ${error}`)
  }
  const isEarly = isForced || (isGone && left.length > 0)
  deleted.add(isGone ? 1 : 0)
  goneEarly.add(isEarly ? 1 : 0)
  if (isGone && !isEarly) finalized(now() - since)
  if (isDeleted && !isGone) {
    neverGone.add(1)
    finalized(since > 0 ? now() - since : 0, true)
  }
}

/**
 * Create objects in every arm, for setup() only.
 * @param {string[]} names of the Projects
 * @param {(name: string, index: number) => {path: string, object: object}[]} objectsIn
 */
function everywhere(names, objectsIn) {
  createAll(
    names.flatMap((name, index) => objectsIn(name, index).flatMap((one) => arms.map((arm) => ({ arm, ...one })))),
  )
}

/**
 * Return the namespace in which a Project has objects with a finalizer.
 * @param {number} index of the Project
 */
function namespaceOf(index) {
  return index % 2 === 0 ? 'default' : OTHER
}

/**
 * @param {string} name of the Project
 * @param {string} namespace
 * @param {'secrets' | 'configmaps'} resource
 */
function held(name, namespace, resource) {
  const one = made(name, namespace, resource, 'held')
  one.object.metadata.finalizers = [FINALIZER]
  return one
}

/**
 * @param {string} name of the Project
 * @param {string} namespace
 * @param {'secrets' | 'configmaps'} resource
 * @param {string} called
 */
function made(name, namespace, resource, called) {
  return { path: `${namespacesOf(name)}/${namespace}/${resource}`, object: object(resource, called, PAYLOAD) }
}

/** @param {string} name of the Project */
function namespacesOf(name) {
  return `/projects/${name}/control-plane/api/v1/namespaces`
}
