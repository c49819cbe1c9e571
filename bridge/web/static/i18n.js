// Words and times in the language of the page. A language is one file in i18n/; the server says which there are.

/** @type {Record<string, string>} */
let words = {};
let locale = "en";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Loads the words of the page's language, which the server has chosen by `?lang=`, the configuration, the browser. */
export async function loadWords() {
  locale = document.documentElement.lang || "en";
  words = await (await fetch(`static/i18n/${locale}.json`)).json();
}

/**
 * The text for a key, with `{name}` filled in; the key itself where there is none.
 * @param {string} key
 * @param {Record<string, string|number>} [values]
 */
export function t(key, values = {}) {
  return (words[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
}

/**
 * What a light shows, or a state.
 * @param {string} word
 */
export function shows(word) {
  return words[`state.${word}`] ?? words[`shows.${word}`] ?? word;
}

/**
 * How long something lasts: `0:06` and `1:20:04` for calls, which are watched by the second, `25 min` for all else.
 * @param {number} ms
 * @param {boolean} exact
 */
export function age(ms, exact) {
  const past = Math.max(0, ms);
  if (exact && past < DAY) return clock(past / SECOND);
  if (past < MINUTE) return t("age.now");
  if (past < HOUR) return t("age.minutes", { n: Math.floor(past / MINUTE) });
  if (past >= DAY) return t("age.days", { n: Math.floor(past / DAY) });
  return t("age.hours", { n: Math.floor(past / HOUR) });
}

/**
 * `4:12`, `1:04:12`.
 * @param {number} seconds
 */
export function clock(seconds) {
  const whole = Math.floor(seconds);
  const two = (/** @type {number} */ n) => String(n).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

/**
 * A time of day; with the date where it is not today's.
 * @param {string|number|null|undefined} time ISO 8601 or ms
 * @param {boolean} [seconds]
 */
export function at(time, seconds = false) {
  if (time === null || time === undefined) return "–";
  const date = new Date(time);
  /** @type {Intl.DateTimeFormatOptions} */
  const options = { hour: "2-digit", minute: "2-digit", hour12: false, ...(seconds && { second: "2-digit" }) };
  const today = date.toDateString() === new Date().toDateString();
  return date.toLocaleString(locale, today ? options : { ...options, day: "numeric", month: "short" });
}

/**
 * A date.
 * @param {string} time ISO 8601
 */
export function day(time) {
  return new Date(time).toLocaleDateString(locale, { dateStyle: "medium" });
}

/**
 * A number with the separators of the language.
 * @param {number} n
 * @param {number} [digits]
 */
export function number(n, digits = 0) {
  return n.toLocaleString(locale, { maximumFractionDigits: digits });
}

/** @type {Intl.Collator|undefined} */
let collator;

/**
 * Order of names and numbers: `9` before `10`, `ä` beside `a`.
 * @param {string} a
 * @param {string} b
 */
export function compare(a, b) {
  collator ??= new Intl.Collator(locale, { numeric: true, sensitivity: "base" });
  return collator.compare(a, b);
}
