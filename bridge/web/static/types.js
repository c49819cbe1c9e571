/**
 * The shapes of /api/events, see docs/api.md. Times are ISO 8601 in UTC; null is "not known".
 *
 * @typedef {"available"|"away"|"do_not_disturb"|"ringing"|"dialing"|"on_call"|"on_hold"|"offline"|"unknown"} State
 *
 * @typedef {object} Call
 * @property {string} status
 * @property {"inbound"|"outbound"|"internal"|null} direction
 * @property {string|null} party
 * @property {string|null} name
 * @property {string} since
 *
 * @typedef {object} Today
 * @property {string} date
 * @property {number} missed
 * @property {number} answered
 * @property {number} made
 * @property {number} talk_time seconds
 * @property {{at: string, party: string|null}|null} last_missed
 *
 * @typedef {object} User
 * @property {string} number
 * @property {string|null} name
 * @property {string|null} department
 * @property {State} state
 * @property {boolean|null} busy
 * @property {string} since
 * @property {string} reason
 * @property {string|null} profile
 * @property {boolean|null} registered
 * @property {"logged_in"|"logged_out"|null} queue
 * @property {Call|null} call
 * @property {number|null} calls
 * @property {Today|null} today
 *
 * @typedef {object} CallEvent
 * @property {string} event_type
 * @property {string|null} outcome
 * @property {string|null} direction
 * @property {string|null} party
 * @property {string|null} name
 * @property {number} duration
 * @property {number} seen when it arrived, ms by the bridge's clock; added here
 *
 * @typedef {{name: string, busy: boolean|null, members: string[]}} Group
 *
 * @typedef {{logged_in: string[], available: string[], on_call: string[], logged_out: string[]}} Agents
 *
 * @typedef {object} Queue
 * @property {string} number
 * @property {string|null} name
 * @property {number|null} waiting
 * @property {string|null} longest_since
 * @property {Agents|null} agents
 *
 * @typedef {{color: string|null, brightness: number|null, blink: boolean|null, until: string|null}} Override
 *
 * @typedef {object} Light
 * @property {string} name
 * @property {string} shows
 * @property {string} why
 * @property {string|null} color
 * @property {number|null} brightness
 * @property {boolean|null} blink
 * @property {boolean} paused
 * @property {Override|null} override
 * @property {boolean|null} online
 * @property {{users?: string[], group?: string, queue?: string}} follows
 *
 * @typedef {{broker: boolean, pbx: boolean, last_news: string|null, standby?: string}} Contact
 *   `standby`: another machine is at work, and which one
 *
 * @typedef {{ok: number, failed: number, last_success: string|null, p50: number|null, p95: number|null}} Polls
 *
 * @typedef {object} About what a screen that sees everything gets about the bridge; a limited one has Contact alone
 * @property {string} [version]
 * @property {string|null} [pbx_version]
 * @property {string} [started]
 * @property {string} [host]
 * @property {{profile: boolean, queue: boolean}} [commands]
 * @property {string|null} [why_not]
 * @property {{about: string, verdict: "ok"|"warn"|"fail", message: string}[]} [findings]
 * @property {{polls: Record<string, Polls>, users: number, published: number, memory: number|null}} [health]
 * @property {Record<string, number|string|null>|null} [system]
 *
 * @typedef {{name: string, in_use: boolean, reason: string|null}} Source
 *
 * @typedef {{time?: string, level?: string, message?: string}} LogLine
 *
 * @typedef {object} Pbx
 * @property {string} name
 * @property {Contact & About} bridge
 * @property {Source[]} sources
 * @property {User[]} users
 * @property {Group[]} groups
 * @property {Queue[]} queues
 * @property {Light[]} lights
 * @property {LogLine[]} log
 *
 * @typedef {{admin: boolean, limited: boolean, can_log_in: boolean}} Viewer
 *
 * @typedef {{instance: string, revision: number, version: string, time: string, viewer: Viewer, pbxs: Pbx[]}} Snapshot
 *
 * @typedef {{revision: number, pbx: string, kind: string, key: string, value: any}} Change
 *
 * @typedef {{time: string, revision: number, pbxs: ({name: string} & Contact)[]}} Beat
 */

export {};
