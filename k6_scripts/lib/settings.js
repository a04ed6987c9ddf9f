// What the driver tells a script, all of it in environment variables.

/**
 * A build that answers requests.
 * @typedef {{name: string, url: string, token: string}} Arm
 */

/** @type {Arm[]} one or two, in the order in which the driver names them */
export const arms = required('ARMS').split(',').map(arm)

/** Of every random choice; a whole number. */
export const seed = number('SEED')

/** Iterations started per second, over all arms; 0 for fixed work. */
export const rate = number('RATE', 0)

/** Length of the phase that is measured, and of the one before it, in seconds. */
export const durationS = number('DURATION_S')
export const warmupS = number('WARMUP_S')

/**
 * Deadlines, in seconds: of one request, of what a script follows (a Project that becomes Ready or
 * goes), and of setup().  What is not done by then is recorded as cut off, and never waited for.
 */
export const requestTimeoutS = number('REQUEST_TIMEOUT_S', 5)
export const deadlineS = number('DEADLINE_S', 30)
export const setupS = number('SETUP_S', 90)

/**
 * Return the text of a variable.
 * @param {string} variable
 * @returns {string}
 */
export function required(variable) {
  const value = __ENV[variable]
  if (!value) throw new Error(`${variable} is not set: run this script through the pipeline`)
  return value
}

/**
 * Return the number in a variable.
 * @param {string} variable
 * @param {number} [fallback] used where the variable is not set; without it, it must be
 * @returns {number}
 */
export function number(variable, fallback) {
  const text = fallback === undefined ? required(variable) : __ENV[variable] || String(fallback)
  const value = Number(text)
  if (!Number.isFinite(value)) throw new Error(`${variable} is not a number: ${text}`)
  return value
}

/**
 * @param {string} name
 * @returns {Arm}
 */
function arm(name) {
  const prefix = name.toUpperCase()
  const token = open(required(`${prefix}_TOKEN_FILE`)).trim()
  return { name, url: required(`${prefix}_URL`), token }
}
