// A fixed amount of work for each arm, done as fast as it goes; the arms side by side.
//
// Each arm has a scenario of its own, with the same VUs and iterations, and all begin at the same
// moment.  An iteration does the same work in each arm: it depends on its number.

import exec from 'k6/execution'
import { arms, number, requestTimeoutS, setupS } from './settings.js'

const START_S = 1 // so that every VU is there when the work begins

/**
 * @typedef {{arm: import('./settings.js').Arm, index: number}} Task
 */

/**
 * Return the options of fixed work: ITERATIONS iterations for each arm, shared by VUs.  What is not
 * done after LONGEST_S is left undone, and counted by the pipeline.
 * @param {number} vus for each arm
 * @param {Record<string, object>} [beside] further scenarios, such as a light load
 */
export function fixedWork(vus, beside = {}) {
  const iterations = number('ITERATIONS')
  /** @type {Record<string, object>} */
  const scenarios = {}
  for (const arm of arms) {
    scenarios[scenarioName(arm, 'work')] = {
      executor: 'shared-iterations',
      vus: Math.min(vus, iterations),
      iterations,
      startTime: `${START_S}s`,
      maxDuration: `${Math.ceil(number('LONGEST_S'))}s`,
      gracefulStop: `${Math.ceil(requestTimeoutS) + 1}s`, // a request that is out ends, and counts
    }
  }
  return {
    scenarios: { ...scenarios, ...beside },
    setupTimeout: `${2 * setupS + 60}s`,
    batch: 120,
    batchPerHost: 60,
  }
}

/**
 * Return which arm and which part of its work this iteration is, and tag what the VU does with it.
 * @returns {Task}
 */
export function takeTask() {
  const arm = armOf(exec.scenario.name)
  exec.vu.tags.arm = arm.name
  exec.vu.tags.phase = 'load'
  return { arm, index: exec.scenario.iterationInTest }
}

/**
 * Return the options of a scenario that goes on beside the work of one arm, at a constant rate.
 * @param {string} fn name of the exported function that it runs
 * @param {number} rate iterations per second
 * @param {number} lastsS how long, in seconds
 */
export function besideAtRate(fn, rate, lastsS) {
  const vus = Math.max(4, Math.ceil(rate * (requestTimeoutS + 0.5))) // none is slow enough to use them up
  return {
    executor: 'constant-arrival-rate',
    exec: fn,
    startTime: `${START_S}s`,
    rate: Math.round(rate * 1000),
    timeUnit: '1000s',
    duration: `${Math.round(lastsS * 1000)}ms`,
    preAllocatedVUs: vus,
    maxVUs: vus,
    gracefulStop: `${Math.ceil(requestTimeoutS) + 1}s`,
  }
}

/**
 * Return how long it is until some seconds after the scenario began; 0 where that is past.
 * @param {number} seconds
 */
export function secondsUntil(seconds) {
  return Math.max(0, exec.scenario.startTime / 1000 + seconds - Date.now() / 1000)
}

/**
 * Return the name of a scenario of one arm.  k6 starts scenarios of the same moment in the order of
 * their names, so a number makes that the order of the arms, which is not the same in every pair.
 * @param {import('./settings.js').Arm} arm
 * @param {string} part what the scenario does
 */
export function scenarioName(arm, part) {
  return `${arms.indexOf(arm)}-${arm.name}-${part}`
}

/** @param {string} name of a scenario, from scenarioName */
export function armOf(name) {
  const found = arms.find((arm) => name.split('-')[1] === arm.name)
  if (!found) throw new Error(`no arm has the scenario ${name}`)
  return found
}
