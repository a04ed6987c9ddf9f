// Requests to the API of one arm, each tagged with what it is.
//
// The arm and the phase are tags of the VU (see turn.js); outside of an iteration, as in setup(),
// there are none, and the pipeline leaves those requests out.

import exec from 'k6/execution'
import http from 'k6/http'
import { Counter, Trend } from 'k6/metrics'
import { sleep } from 'k6'
import { requestTimeoutS, setupS } from './settings.js'

/**
 * @typedef {import('./settings.js').Arm} Arm
 * @typedef {{op: string, resource: string}} Tags
 */

const ATTEMPTS = 5
const LONGEST_WAIT_S = 5
const SETUP_REQUEST_S = 10
const SETUP_WAIT_S = 0.25
const SETUP_BATCH = 120 // of all arms together
const good = http.expectedStatuses({ min: 200, max: 399 })
const goodOrLater = http.expectedStatuses({ min: 200, max: 399 }, 429)
const retries = new Counter('retries')
const setupFailed = new Counter('setup_failed')
let setupEnds = 0 // in milliseconds of Unix time; 0 outside of setup()

/**
 * @param {Arm} arm
 * @param {string} path
 * @param {Tags} tags
 */
export function get(arm, path, tags) {
  return send(arm, 'GET', path, null, tags, 'text')
}

/**
 * Like `get`, but the answer is read and thrown away: a long list would only fill k6's memory.
 * @param {Arm} arm
 * @param {string} path
 * @param {Tags} tags
 * @param {number} [budgetS] how long to come back to a server that says "later", in seconds
 */
export function list(arm, path, tags, budgetS) {
  return send(arm, 'GET', path, null, tags, 'none', budgetS)
}

/**
 * @param {Arm} arm
 * @param {string} path
 * @param {object} object
 * @param {Tags} tags
 */
export function post(arm, path, object, tags) {
  return send(arm, 'POST', path, JSON.stringify(object), tags, 'none')
}

/**
 * @param {Arm} arm
 * @param {string} path
 * @param {object} object
 * @param {Tags} tags
 */
export function put(arm, path, object, tags) {
  return send(arm, 'PUT', path, JSON.stringify(object), tags, 'none')
}

/**
 * @param {Arm} arm
 * @param {string} path
 * @param {Tags} tags
 */
export function del(arm, path, tags) {
  return send(arm, 'DELETE', path, null, tags, 'none')
}

/**
 * Create many objects at once, in setup(); what fails is tried again until SETUP_S is over, because
 * a Project may need a moment before its first object.
 * @param {{arm: Arm, path: string, object: object}[]} creations sent in this order
 */
export function createAll(creations) {
  let left = creations
  for (let attempt = 1; left.length > 0; attempt++) {
    /** @type {import('k6/http').Response[]} */
    const responses = []
    for (let at = 0; at < left.length; at += SETUP_BATCH) {
      const batch = left.slice(at, at + SETUP_BATCH).map(creation)
      responses.push(...Object.values(http.batch(batch)))
      if (setupIsLate()) break
    }
    const failed = left.filter((_, i) => !responses[i] || !isThere(responses[i], attempt))
    if (failed.length > 0 && setupIsLate()) {
      const first = responses.find((response) => !isThere(response, attempt))
      const said = first ? `; one was answered ${first.status}: ${first.body || first.error}` : ''
      failSetup(failed.map(({ arm }) => arm), `${failed.length} objects were not created${said}`)
    }
    left = failed
    if (left.length > 0) sleep(SETUP_WAIT_S)
  }
}

/**
 * List in all arms at once, in setup(): what a first list costs is no part of the load.
 * @param {{arm: Arm, path: string}[]} lists
 */
export function listAll(lists) {
  http.batch(
    lists.map(({ arm, path }) => ({
      method: 'GET',
      url: arm.url + path,
      params: { ...setupParams(arm), responseType: 'none' },
    })),
  )
}

/** Tell whether setup() has had its time; the clock starts with the first request of setup(). */
export function setupIsLate() {
  if (!setupEnds) setupEnds = Date.now() + setupS * 1000
  return Date.now() > setupEnds
}

/**
 * End setup(): some arms could not be prepared in time.  The counter tells the pipeline which.
 * @param {Arm[]} failed arms, each at least once
 * @param {string} reason
 */
export function failSetup(failed, reason) {
  const names = arms(failed)
  for (const name of names) setupFailed.add(1, { arm: name })
  throw new Error(`setup of ${names.join(' and ')} was not done within ${setupS} s: ${reason}`)
}

/** @param {Arm[]} found */
function arms(found) {
  return found.map(({ name }) => name).filter((name, i, all) => all.indexOf(name) === i)
}

/**
 * Return the clock that times what is no request, in milliseconds with fractions; `Date.now()`
 * has whole ones only.
 */
export function now() {
  return exec.instance.currentTestRunDuration
}

/**
 * Return a function that records one time, in milliseconds.
 *
 * The tag `unit` tells the pipeline that a metric is made of times; one without is a counter.  The
 * tag `cut` says that the wait was given up, so that the time is at least as long.
 * @param {string} name
 * @returns {(ms: number, isCut?: boolean) => void}
 */
export function timing(name) {
  const trend = new Trend(name, true)
  return (ms, isCut) => trend.add(ms, isCut ? { unit: 'ms', cut: 'yes' } : { unit: 'ms' })
}

/** @param {Arm} arm */
export function authorization(arm) {
  return { Authorization: `Bearer ${arm.token}` }
}

/**
 * Return the answer; where the server says "later", wait as long as it says and ask again.
 *
 * Each request has REQUEST_TIMEOUT_S, so an iteration is held no longer than its requests allow.
 * @param {Arm} arm
 * @param {string} method
 * @param {string} path
 * @param {string | null} body
 * @param {Tags} tags
 * @param {'text' | 'none'} responseType
 * @param {number} [budgetS] after so many seconds, "later" is an answer like any other
 */
function send(arm, method, path, body, tags, responseType, budgetS = requestTimeoutS) {
  const ends = Date.now() + budgetS * 1000
  const params = {
    headers: { ...authorization(arm), 'Content-Type': 'application/json' },
    tags: { ...tags, name: `${tags.op} ${tags.resource}` },
    responseType,
    timeout: `${requestTimeoutS}s`,
  }
  for (let attempt = 1; attempt < ATTEMPTS; attempt++) {
    const response = http.request(method, arm.url + path, body, {
      ...params,
      responseCallback: goodOrLater,
    })
    if (response.status !== 429) return response
    retries.add(1)
    const said = Number(response.headers['Retry-After'])
    const waitS = Math.min(Number.isFinite(said) ? said : 1, LONGEST_WAIT_S)
    if (Date.now() + waitS * 1000 > ends) break
    sleep(waitS)
  }
  return http.request(method, arm.url + path, body, { ...params, responseCallback: good })
}

/**
 * @param {{arm: Arm, path: string, object: object}} one
 * @returns {import('k6/http').ObjectBatchRequest}
 */
function creation({ arm, path, object }) {
  const body = JSON.stringify(object)
  return { method: 'POST', url: arm.url + path, body, params: setupParams(arm) }
}

/**
 * @param {Arm} arm
 * @returns {import('k6/http').Params}
 */
function setupParams(arm) {
  return {
    headers: { ...authorization(arm), 'Content-Type': 'application/json' },
    tags: { op: 'setup', name: 'setup' },
    responseType: 'text',
    timeout: `${SETUP_REQUEST_S}s`,
  }
}

/**
 * Tell whether an object was made, now or by an attempt that was not answered.
 * @param {{status: number}} response
 * @param {number} attempt from 1
 */
function isThere({ status }, attempt) {
  return status === 201 || (status === 409 && attempt > 1)
}
