// Paths and objects of Milo's API.

import { sleep } from 'k6'
import { createAll, failSetup, get, listAll, setupIsLate } from './api.js'
import { arms, number } from './settings.js'

const MILO = '/apis/resourcemanager.miloapis.com/v1alpha1'
export const ORGANIZATIONS = `${MILO}/organizations`
export const PROJECTS = `${MILO}/projects`
/** @type {('secrets' | 'configmaps')[]} */
export const RESOURCES = ['secrets', 'configmaps']
const FINALIZER = 'milo-perf.invalid/kept'
const ROUNDS = 3

/** @typedef {import('./settings.js').Arm} Arm */

/**
 * Return the path at which Projects of an Organization are created.
 *
 * Milo's webhooks accept a Project only through the control plane of its Organization; without
 * them, and in every version, the shorter path works too.
 * @param {string} owner name of the Organization
 */
export function newProjects(owner) {
  return __ENV.ORGANIZATION_PATH ? `${ORGANIZATIONS}/${owner}/control-plane${PROJECTS}` : PROJECTS
}

/** @param {string} name */
export function organization(name) {
  return {
    apiVersion: 'resourcemanager.miloapis.com/v1alpha1',
    kind: 'Organization',
    metadata: { name },
    spec: { type: 'Standard' },
  }
}

/**
 * @param {string} name
 * @param {string} owner name of the Organization
 */
export function project(name, owner) {
  return {
    apiVersion: 'resourcemanager.miloapis.com/v1alpha1',
    kind: 'Project',
    metadata: { name },
    spec: { ownerRef: { kind: 'Organization', name: owner } },
  }
}

/**
 * @param {'secrets' | 'configmaps'} resource
 * @param {string} name
 * @param {string} payload base64, so that it is good for both
 */
export function object(resource, name, payload) {
  const kind = resource === 'secrets' ? 'Secret' : 'ConfigMap'
  /** @type {{name: string, finalizers?: string[]}} */
  const metadata = { name }
  return { apiVersion: 'v1', kind, metadata, data: { payload } }
}

/**
 * Return the path of all objects of one kind in a Project's `default` namespace.
 * @param {string} name of the Project
 * @param {'secrets' | 'configmaps'} resource
 */
export function objectsOf(name, resource) {
  return `/projects/${name}/control-plane/api/v1/namespaces/default/${resource}`
}

/**
 * Make an Organization and Projects, the same in every arm, and return the names of `count` that are
 * Ready in all arms; for setup() only.
 *
 * A Project that is not Ready after READY_S (20) seconds is left alone and replaced, because the
 * load needs another; whether Projects become Ready is what project_burst measures.
 * @param {string} run name of the Organization, and beginning of every Project's
 * @param {number} count
 */
export function makeProjects(run, count) {
  createAll(arms.map((arm) => ({ arm, path: ORGANIZATIONS, object: organization(run) })))
  /** @type {string[]} */
  const ready = []
  /** @type {Arm[]} */
  const late = []
  for (let round = 0, made = 0; round < ROUNDS && ready.length < count; round++) {
    const names = Array.from({ length: count - ready.length }, () => `${run}-${made++}`)
    for (const name of names) {
      createAll(arms.map((arm) => ({ arm, path: newProjects(run), object: project(name, run) })))
    }
    late.length = 0
    ready.push(...readyOf(names, late))
  }
  if (ready.length < count) failSetup(late, `of Projects ${run}-…, too few became Ready`)
  return ready
}

/**
 * Create objects in Projects of every arm, the arms in turn, and list them once; for setup() only.
 * @param {string[]} names of the Projects
 * @param {number} count of Secrets, and of ConfigMaps, in each
 * @param {string} payload
 * @param {number} [finalizers] how many of each have one
 */
export function fill(names, count, payload, finalizers = 0) {
  const paths = names.flatMap((name) =>
    RESOURCES.map((resource) => ({ resource, path: objectsOf(name, resource) })),
  )
  /** @param {number} i */
  const everywhere = (i) =>
    paths.flatMap(({ resource, path }) =>
      arms.map((arm) => {
        const made = object(resource, `fill-${i}`, payload)
        if (i < finalizers) made.metadata.finalizers = [FINALIZER]
        return { arm, path, object: made }
      }),
    )
  // The first alone: it makes the server open the storage of this kind in this Project.
  createAll(everywhere(0))
  createAll(Array.from({ length: count - 1 }, (_, i) => i + 1).flatMap(everywhere))
  listAll(paths.flatMap(({ path }) => arms.map((arm) => ({ arm, path: `${path}?limit=100` }))))
}

/**
 * Tell whether a Project, as the server shows it, can be used.
 * @param {any} shown
 */
export function isReady(shown) {
  /** @type {{type: string, status: string}[]} */
  const conditions = (shown.status && shown.status.conditions) || []
  return conditions.some(({ type, status }) => type === 'Ready' && status === 'True')
}

/**
 * Return which Projects are Ready in every arm, after a while; polling disturbs nobody in setup().
 * @param {string[]} names
 * @param {Arm[]} late gets the arms in which one is not
 */
function readyOf(names, late) {
  const deadline = Date.now() + number('READY_S', 20) * 1000
  return names.filter((name) =>
    arms.every((arm) => {
      const path = `${PROJECTS}/${name}`
      while (!answersReady(get(arm, path, { op: 'setup', resource: 'projects' }))) {
        if (setupIsLate()) failSetup([arm], `the Project ${name} is not Ready`)
        if (Date.now() > deadline) return late.push(arm) === 0
        sleep(0.05)
      }
      return true
    }),
  )
}

/**
 * Return base64 text.
 * @param {number} size in bytes
 * @param {string} letter that it is made of
 */
export function payloadOf(size, letter) {
  return letter.repeat(4 * Math.ceil(size / 4))
}

/** @param {any} response */
function answersReady(response) {
  return response.status === 200 && isReady(response.json())
}
