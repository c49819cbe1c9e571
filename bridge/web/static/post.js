// Changes something through the bridge.

import { t } from "./i18n.js";

const LONGEST = 30000; // ms

/**
 * @param {string} url
 * @param {object} body
 * @returns {Promise<string|null>} what went wrong, for people; null: it is done
 */
export async function post(url, body) {
  try {
    const response = await fetch(url, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(LONGEST),
    });
    if (response.ok) return null;
    const text = await response.text();
    try {
      return JSON.parse(text).error;
    } catch {
      return text.trim() || `HTTP ${response.status}`;
    }
  } catch {
    return t("error.lost");
  }
}
