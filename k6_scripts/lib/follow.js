// Follow one Project by a watch, so that no interval of polling is part of any time.
//
// Kubernetes sends watches over WebSockets.  k6 runs one handler at a time: an event that comes
// while a request of the same iteration is out is seen once that is answered, and no time can be
// less than that.  `project_ready` begins when the creation is answered, so that a slow creation
// shows only in itself; `project_gone` begins when the deletion is sent, because a fast server says
// "gone" before it has answered.

import { Counter } from 'k6/metrics'
import ws from 'k6/ws'
import { authorization, del, now, post, timing } from './api.js'
import { PROJECTS, isReady, newProjects, project } from './milo.js'
import { deadlineS } from './settings.js'

/**
 * @typedef {import('./settings.js').Arm} Arm
 * @typedef {'new' | 'created' | 'ready' | 'deleted' | 'gone' | 'refused'} Stage
 */

const ready = timing('project_ready')
const gone = timing('project_gone')
const created = new Counter('projects_created')
const deleted = new Counter('projects_deleted')
const neverReady = new Counter('projects_never_ready')
const neverGone = new Counter('projects_never_gone')

/**
 * Create a Project, and return once it is Ready, or refused, or given up after DEADLINE_S.
 * @param {Arm} arm
 * @param {string} name
 * @param {string} owner name of the Organization
 * @returns {boolean} whether it is Ready
 */
export function createAndFollow(arm, name, owner) {
  let since = 0
  const stage = follow(arm, name, {
    start() {
      const made = post(arm, newProjects(owner), project(name, owner), op('create'))
      since = now()
      if (made.status !== 201) return 'refused'
      created.add(1)
      return 'created'
    },
    event(stage, _type, shown) {
      if (stage !== 'created' || !isReady(shown)) return stage
      ready(now() - since)
      return 'ready'
    },
    ends: ['ready', 'refused'],
  })
  if (stage === 'created') ready(now() - since, true)
  if (stage === 'created' || stage === 'new') neverReady.add(1)
  return stage === 'ready'
}

/**
 * Delete a Project, and return once it is gone, or refused, or given up after DEADLINE_S.
 * @param {Arm} arm
 * @param {string} name
 * @returns {boolean} whether it is gone
 */
export function deleteAndFollow(arm, name) {
  let since = 0
  const stage = follow(arm, name, {
    start() {
      since = now()
      const { status } = del(arm, `${PROJECTS}/${name}`, op('delete'))
      return status > 0 && status < 300 ? 'deleted' : 'refused'
    },
    event(stage, type) {
      if (stage !== 'deleted' || type !== 'DELETED') return stage
      gone(now() - since)
      deleted.add(1)
      return 'gone'
    },
    ends: ['gone', 'refused'],
  })
  if (stage === 'deleted') gone(now() - since, true)
  if (stage === 'deleted' || stage === 'new') neverGone.add(1)
  return stage === 'gone'
}

/**
 * Watch one Project until one of some stages; return the stage reached.
 * @param {Arm} arm
 * @param {string} name
 * @param {{start: () => Stage,
 *   event: (stage: Stage, type: string, shown: any) => Stage,
 *   ends: Stage[]}} steps `start` is called once the watch is open, `event` with each event
 * @returns {Stage}
 */
function follow(arm, name, steps) {
  /** @type {Stage} */
  let stage = 'new'
  const params = {
    headers: { ...authorization(arm), Origin: arm.url }, // no Origin, no WebSocket
    tags: { op: 'watch', resource: 'projects', name: 'watch projects' },
  }
  const query = `watch=true&resourceVersion=0&fieldSelector=metadata.name%3D${name}`
  const url = `${arm.url.replace(/^http/, 'ws')}${PROJECTS}?${query}`
  try {
    ws.connect(url, params, (socket) => {
      const closeAtEnd = () => {
        if (steps.ends.includes(stage)) socket.close()
      }
      socket.on('open', () => {
        stage = steps.start()
        closeAtEnd()
      })
      socket.on('message', (text) => {
        const { type, object: shown } = JSON.parse(text)
        stage = steps.event(stage, type, shown)
        closeAtEnd()
      })
      socket.on('error', (error) => console.error(`the watch of ${name}: ${error.error()}`))
      socket.setTimeout(() => socket.close(), deadlineS * 1000)
    })
  } catch (error) {
    console.error(`the watch of ${name} broke: ${error}`)
  }
  return stage
}

/** @param {string} name */
function op(name) {
  return { op: name, resource: 'projects' }
}
