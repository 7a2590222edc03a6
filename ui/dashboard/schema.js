// What a setting may be, from the program's own description of itself. Pure.
//
// The meanings, defaults and bounds stand in nexus_tray/settings.py and come here as
// JSON Schema, so a new setting is on the page from its first day.

const NAMES = {
  enabled: "Run", directory: "Folder", program: "Program", environment: "Environment variables",
  memory_megabytes: "Most memory, in megabytes",
  local_port: "Local door’s port", transport: "Transport", max_megabytes: "Most megabytes", name: "Name", kind: "Kind",
  level: "What is told", quiet_from: "Quiet from", quiet_to: "Quiet until",
  names: "Further names", certificate: "Your own certificate", key: "Key of your own certificate",
  allow_addresses: "Only from these addresses", deny_addresses: "Not from these addresses",
  allow_countries: "Only from these countries", deny_countries: "Not from these countries",
  requests_per_second: "Requests a second, one device", address_requests_per_second: "Requests a second, one stranger",
  streams: "Streams at once, one device", device_kilobytes_in: "From one device, kB/s", device_kilobytes_out: "To one device, kB/s",
  total_kilobytes_in: "From all devices, kB/s", total_kilobytes_out: "To all devices, kB/s", idle_minutes: "Close when nobody uses it, minutes",
};
const SECTIONS = {
  opencode: "OpenCode", gateway: "Gateway", cloudflared: "cloudflared", tunnels: "Tunnels", logs: "Logs", network: "Local network",
};

const spoken = (key) => key.charAt(0).toUpperCase() + key.slice(1).replaceAll("_", " ");
export const nameOf = (key) => NAMES[key] || spoken(key);
export const sectionName = (key) => SECTIONS[key] || spoken(key);

/** Of a tunnel: what is made, or set on the Tunnels page. */
const ELSEWHERE = ["kind", "tunnel_id", "account_id", "zone_id", "routes"];

/** The schema that a property's own text leads to. */
const follow = (schemas, property) =>
  (property.$ref ? schemas[property.$ref.split("/").at(-1)] : property);

/** Every section: { key, about, many, settings: [{ key, meaning, schema, default }] }. */
export function sections(schemas) {
  return Object.entries(schemas.Settings.properties).filter(([key]) => key !== "version").map(([key, property]) => {
    const many = property.type === "array";
    const schema = follow(schemas, many ? property.items : property);
    const [about, meanings] = described(schema.description || "");
    const settings = Object.entries(schema.properties).filter(([name]) => !(many && ELSEWHERE.includes(name))).map(([name, one]) => ({
      key: name, meaning: meanings[name] || "", schema: follow(schemas, one), default: one.default,
    }));
    return { key, about, many, settings };
  });
}

/** The first sentences of a docstring, and what it says of each `name`: as its own text. */
function described(text) {
  const plain = text.replace(/\s+/g, " ").trim();
  const parts = plain.split(/`(\w+)`: /);
  const meanings = {};
  for (let at = 1; at < parts.length; at += 2) {
    const meaning = parts[at + 1].trim().replaceAll("`", "");
    meanings[parts[at]] = meaning.charAt(0).toUpperCase() + meaning.slice(1);
  }
  return [parts[0].trim(), meanings];
}

/** What is wrong with a value as it is typed, in words; empty when nothing is. */
export function wrong(schema, value) {
  if (schema.type === "integer") {
    if (!/^-?\d+$/.test(String(value).trim())) return "A whole number is wanted.";
    const number = Number(value);
    if (schema.minimum !== undefined && number < schema.minimum) return `At least ${schema.minimum}.`;
    if (schema.maximum !== undefined && number > schema.maximum) return `At most ${schema.maximum}.`;
  }
  if (schema.type === "array") {
    const rule = schema.items?.pattern?.replaceAll("\\Z", "$") || "^[A-Za-z_][A-Za-z0-9_]*$";
    const bad = value.find((one) => !new RegExp(rule, "u").test(one));
    if (bad === undefined) return "";
    return schema.items?.description ? `“${bad}” is not ${schema.items.description}.` : `“${bad}” is no name: letters, digits and _ only.`;
  }
  if (schema.pattern && !new RegExp(schema.pattern.replaceAll("\\Z", "$"), "u").test(value)) {
    return schema.description ? `Wanted: ${schema.description}.` : "Small letters, digits and - only, at most 32.";
  }
  if (schema.type === "string" && value.includes("\0")) return "There is a character in it that cannot be.";
  return "";
}

/** A value as it stands in a field, and back. */
export const shown = (schema, value) => (schema.type === "array" ? value.join(" ") : String(value));
export function meant(schema, text) {
  if (schema.type === "array") return text.split(/[\s,]+/).filter(Boolean);
  return schema.type === "integer" ? text.trim() : text;
}
export const final = (schema, value) => (schema.type === "integer" ? Number(value) : value);

/** A default in words. */
export function standing(schema, value) {
  if (value === undefined) return "";
  if (typeof value === "boolean") return value ? "on" : "off";
  if (Array.isArray(value)) return value.length ? value.join(" ") : "none";
  return value === "" ? "empty" : String(value);
}
