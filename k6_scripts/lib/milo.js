// Paths and objects of Milo's API.

import { sleep } from 'k6'
import { get } from './api.js'
import { arms, timeoutS } from './settings.js'

const MILO = '/apis/resourcemanager.miloapis.com/v1alpha1'
export const ORGANIZATIONS = `${MILO}/organizations`
export const PROJECTS = `${MILO}/projects`

/** @typedef {import('./settings.js').Arm} Arm */

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
  return { apiVersion: 'v1', kind, metadata: { name }, data: { payload } }
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
 * Tell whether a Project, as the server shows it, can be used.
 * @param {any} shown
 */
export function isReady(shown) {
  const conditions = (shown.status && shown.status.conditions) || []
  return conditions.some(({ type, status }) => type === 'Ready' && status === 'True')
}

/**
 * Return once Projects are Ready in every arm; for setup() only, where polling disturbs nobody.
 * @param {string[]} names
 */
export function waitReady(names) {
  const deadline = Date.now() + timeoutS * 1000
  for (const name of names) {
    for (const arm of arms) {
      const path = `${PROJECTS}/${name}`
      while (!answersReady(get(arm, path, { op: 'setup', resource: 'projects' }))) {
        if (Date.now() > deadline) throw new Error(`${path} was not Ready after ${timeoutS} s`)
        sleep(0.05)
      }
    }
  }
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
