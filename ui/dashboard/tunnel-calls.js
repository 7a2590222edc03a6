// What the Tunnels page asks of the program: one function for each request. Lists are changed
// as they stand at that moment, so that what somebody else changed meanwhile is kept.

import { get, query, send } from "/api.js";

const of = (name) => `/tunnels/${encodeURIComponent(name)}`;
const job = (id) => `/jobs/${encodeURIComponent(id)}`;

/** The reports and the settings they belong to. */
export async function readTunnels(signal) {
  const [report, config] = await Promise.all([get("/tunnels", signal), get("/config", signal)]);
  return { ...report, settings: config.settings.tunnels };
}

export const createTunnel = (plan) => send("POST", "/tunnels", plan);
export const deleteTunnel = (name, onlyHere) =>
  send("DELETE", of(name) + query({ only_here: onlyHere ? "true" : "" }));
export const setToken = (name, token) => send("PUT", `${of(name)}/token`, { token });
export const inspectToken = (token) => send("POST", "/token-inspections", { token });

/** Give a tunnel the routes that `change` makes of those it has. */
export async function changeRoutes(name, change) {
  const { settings } = await get("/config");
  const known = settings.tunnels.find((one) => one.name === name)?.routes || [];
  return send("PUT", `${of(name)}/routes`, { routes: change(known) });
}

/** Change one setting of a tunnel. */
export async function changeTunnel(name, changes) {
  const { etag, settings } = await get("/config");
  const tunnels = settings.tunnels.map((one) => (one.name === name ? { ...one, ...changes } : one));
  return send("PATCH", "/config", { tunnels }, { "If-Match": `"${etag}"` });
}

export const logIn = () => send("POST", "/logins");
export const forgetZone = (id) => send("DELETE", `/zones/${encodeURIComponent(id)}`);
export const readImportable = (signal) => get("/importable", signal);
export const takeOver = (path) => send("POST", "/imports", { path });

export const answerJob = (id, yes) => send("PUT", `${job(id)}/answer`, { yes });
export const cancelJob = (id) => send("POST", `${job(id)}/cancellations`);
export const retryJob = (id) => send("POST", `${job(id)}/retries`);
export const dismissJob = (id) => send("DELETE", job(id));
