// Requests to the API of one arm, each tagged with what it is.
//
// The arm and the phase are tags of the VU (see turn.js); outside of an iteration, as in setup(),
// there are none, and the pipeline leaves those requests out.

import exec from 'k6/execution'
import http from 'k6/http'
import { Counter, Trend } from 'k6/metrics'
import { sleep } from 'k6'
import { timeoutS } from './settings.js'

/**
 * @typedef {import('./settings.js').Arm} Arm
 * @typedef {{op: string, resource: string}} Tags
 */

const ATTEMPTS = 5
const LONGEST_WAIT_S = 5
const SETUP_ATTEMPTS = 40
const SETUP_WAIT_S = 0.25
const good = http.expectedStatuses({ min: 200, max: 399 })
const goodOrLater = http.expectedStatuses({ min: 200, max: 399 }, 429)
const retries = new Counter('retries')

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
 */
export function list(arm, path, tags) {
  return send(arm, 'GET', path, null, tags, 'none')
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
 * Create many objects at once, in setup(); what fails is tried again for a while, because a Project
 * may need a moment before its first object.
 * @param {{arm: Arm, path: string, object: object}[]} creations sent in this order
 */
export function createAll(creations) {
  let left = creations
  for (let attempt = 1; left.length > 0; attempt++) {
    /** @type {import('k6/http').Response[]} */
    const responses = Object.values(http.batch(left.map(creation)))
    const failed = responses.filter((response) => !isThere(response, attempt))
    if (failed.length > 0 && attempt === SETUP_ATTEMPTS) {
      throw new Error(`setup: ${failed[0].url} answered ${failed[0].status}: ${failed[0].body}`)
    }
    left = left.filter((_, i) => failed.includes(responses[i]))
    if (left.length > 0) sleep(SETUP_WAIT_S)
  }
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
 * The tag `unit` tells the pipeline that a metric is made of times; one without is a counter.
 * @param {string} name
 * @returns {(ms: number) => void}
 */
export function timing(name) {
  const trend = new Trend(name, true)
  return (ms) => trend.add(ms, { unit: 'ms' })
}

/** @param {Arm} arm */
export function authorization(arm) {
  return { Authorization: `Bearer ${arm.token}` }
}

/**
 * Return the answer; where the server says "later", wait as long as it says and ask again.
 * @param {Arm} arm
 * @param {string} method
 * @param {string} path
 * @param {string | null} body
 * @param {Tags} tags
 * @param {'text' | 'none'} responseType
 */
function send(arm, method, path, body, tags, responseType) {
  const params = {
    headers: { ...authorization(arm), 'Content-Type': 'application/json' },
    tags: { ...tags, name: `${tags.op} ${tags.resource}` },
    responseType,
    timeout: `${timeoutS}s`,
  }
  for (let attempt = 1; attempt < ATTEMPTS; attempt++) {
    const response = http.request(method, arm.url + path, body, {
      ...params,
      responseCallback: goodOrLater,
    })
    if (response.status !== 429) return response
    retries.add(1)
    const wait = Number(response.headers['Retry-After'])
    sleep(Math.min(Number.isFinite(wait) ? wait : 1, LONGEST_WAIT_S))
  }
  return http.request(method, arm.url + path, body, { ...params, responseCallback: good })
}

/**
 * @param {{arm: Arm, path: string, object: object}} one
 * @returns {import('k6/http').ObjectBatchRequest}
 */
function creation({ arm, path, object }) {
  const headers = { ...authorization(arm), 'Content-Type': 'application/json' }
  /** @type {import('k6/http').Params} */
  const params = { headers, tags: { op: 'setup', name: 'setup' }, responseType: 'text' }
  return { method: 'POST', url: arm.url + path, body: JSON.stringify(object), params }
}

/**
 * Tell whether an object was made, now or by an attempt that was not answered.
 * @param {{status: number}} response
 * @param {number} attempt from 1
 */
function isThere({ status }, attempt) {
  return status === 201 || (status === 409 && attempt > 1)
}
