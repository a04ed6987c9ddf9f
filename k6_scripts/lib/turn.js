// Which arm an iteration goes to, and what work it does there.
//
// Iterations come in blocks of one per arm: with two arms, 2b and 2b+1 go to different ones, and a
// hash of the seed and b says which goes first.  So the arms get the same load within any short
// time, neither is always first, and no rhythm of the machine can follow the order.  What is done
// depends on the block alone, so that both arms get the same work.

import exec from 'k6/execution'
import { arms, durationS, rate, requestTimeoutS, required, seed, setupS, warmupS } from './settings.js'
import { get } from './api.js'

/**
 * @typedef {{arm: import('./settings.js').Arm, block: number}} Turn
 */

const WARMUP = wholeBlocks(warmupS) // iterations
const LOAD = wholeBlocks(durationS)
const CONNECTS_PER_S = 200 // TLS handshakes that two cores manage with ease
const PER_UNIT = 1000 // rates have three decimals: k6 takes whole numbers only
const SLACK_S = 0.5 // of an iteration, beside its requests

/** How long an iteration may last that begins no request when REQUEST_TIMEOUT_S of it are over. */
export const HOLD_S = 2 * requestTimeoutS + SLACK_S

/**
 * Return the options of an open load: iterations start at a constant rate however long they take,
 * so that a slow server shows as latency and not as less load.
 *
 * There are VUs for iterations that all last as long as their deadlines allow, so no build is slow
 * enough to use them up: k6 drops iterations only if it is too slow itself, and a slow build takes
 * nothing from the load of the other.
 *
 * Every VU first connects to every arm, because a VU has connections of its own.  Warm-up and load
 * are one scenario, told apart by the tag `phase`: k6 gives each scenario other VUs as long as
 * iterations of the one before may still run, and those would be cold.
 *
 * @param {number} [holdS] how long an iteration lasts at most, in seconds: the number of VUs is this
 *   times the rate
 */
export function openLoad(holdS = HOLD_S) {
  required('RATE')
  const vus = Math.max(2, Math.ceil(rate * holdS))
  const connectS = 1 + Math.ceil((vus * arms.length) / CONNECTS_PER_S)
  return {
    scenarios: {
      connect: {
        executor: 'per-vu-iterations',
        exec: 'connect',
        vus,
        iterations: 1,
        maxDuration: `${connectS}s`,
        gracefulStop: '0s',
      },
      load: {
        executor: 'constant-arrival-rate',
        startTime: `${connectS}s`,
        rate: Math.round(rate * PER_UNIT),
        timeUnit: `${PER_UNIT}s`,
        duration: `${Math.round((warmupS + durationS) * 1000)}ms`,
        preAllocatedVUs: vus,
        maxVUs: vus,
        gracefulStop: `${Math.ceil(holdS) + 1}s`,
      },
    },
    setupTimeout: `${2 * setupS + 60}s`,
    batch: 120,
    batchPerHost: 60,
  }
}

/** Open this VU's connections, one to each arm. */
export function connect() {
  exec.vu.tags.phase = 'connect'
  for (const arm of arms) {
    exec.vu.tags.arm = arm.name
    get(arm, '/readyz', { op: 'connect', resource: 'readyz' })
  }
}

/**
 * Return whose turn this iteration is, and tag all that the VU does from here on with it.
 * @returns {Turn}
 */
export function takeTurn() {
  began = Date.now()
  const iteration = exec.scenario.iterationInTest
  const block = Math.floor(iteration / arms.length)
  const swap = hash(seed, block) & 1
  const arm = arms[(iteration + swap) % arms.length]
  exec.vu.tags.arm = arm.name
  exec.vu.tags.phase = phase(iteration)
  return { arm, block }
}

/** Tell whether this iteration may begin another request and still end within HOLD_S. */
export function inTime() {
  return Date.now() - began < requestTimeoutS * 1000
}

let began = 0 // of the iteration of this VU

/**
 * Return the phase of an iteration; k6 may start one more than asked, which is in none that counts.
 * @param {number} iteration
 */
function phase(iteration) {
  if (iteration < WARMUP) return 'warmup'
  return iteration < WARMUP + LOAD ? 'load' : 'tail'
}

/**
 * Return the number of iterations of whole blocks in some seconds.
 * @param {number} seconds
 */
function wholeBlocks(seconds) {
  return arms.length * Math.round((rate * seconds) / arms.length)
}

/**
 * Return 32 bits that depend on every bit of two whole numbers (the finalizer of MurmurHash3).
 * @param {number} one
 * @param {number} other
 * @returns {number} from 0 to 2^32 - 1
 */
export function hash(one, other) {
  let bits = mix(one | 0) ^ Math.imul(other | 0, 0x9e3779b1)
  bits = mix(bits)
  return bits >>> 0
}

/** @param {number} bits */
function mix(bits) {
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b)
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35)
  return bits ^ (bits >>> 16)
}

/** Nothing at the end: the pipeline reads the points. */
export function handleSummary() {
  return {}
}
