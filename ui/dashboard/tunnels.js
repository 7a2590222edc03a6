// The tunnels: what each is and how it stands, what is under way, new ones, and the domains
// they can have. What the Snapshot does not tell is read when it may have changed.

import { html, useEffect, useRef, useState } from "/vendor/preact-htm.js";
import { useFetched } from "/fetched.js";
import { Jobs } from "/jobs.js";
import { NetworkDoor } from "/network-door.js";
import { Act, Failure, toast } from "/parts.js";
import { readTunnels } from "/tunnel-calls.js";
import { TunnelCard } from "/tunnel-card.js";
import { Import } from "/tunnel-import.js";
import { NewTunnel } from "/tunnel-new.js";
import { Zones } from "/zones.js";

const PATIENCE_MS = 1500; // what is known already is shown then, without the rest
const LOOK_MS = 5000; // how often is looked whether what has to be done by hand is done

/** True after a while. */
function useLater(ms) {
  const [late, set] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => set(true), ms);
    return () => clearTimeout(timer);
  }, []);
  return late;
}

/** Have `read` called now and then while `on`, and when the window is looked at again. */
function useLooking(read, on) {
  const newest = useRef(read);
  newest.current = read;
  useEffect(() => {
    const look = () => document.hidden || newest.current();
    const timer = on && setInterval(look, LOOK_MS);
    addEventListener("focus", look);
    return () => {
      clearInterval(timer);
      removeEventListener("focus", look);
    };
  }, [on]);
}

/** What makes the reports old: jobs that end, tunnels that come, go or get another address. */
const marks = ({ jobs, services }) => JSON.stringify([
  jobs.map((job) => [job.id, job.state]),
  services.map(({ name, desired, reason, facts }) => [name, desired, reason?.code, facts.address, facts.hostnames]),
]);

export function Tunnels({ live }) {
  const { snapshot } = live;
  const [kind, setKind] = useState(""); // of the new tunnel; empty: none is being made
  const [wanted, setWanted] = useState("");
  const opener = useRef(null);
  const [known, error, read] = useFetched(readTunnels, [marks(snapshot), live.boot]);
  const late = useLater(PATIENCE_MS);
  useLooking(read, known?.tunnels.some((one) => one.by_hand.length > 0) || false);
  const tunnels = snapshot.services.filter((service) => service.kind === "tunnel");
  /** What a command began: the job's card gets the focus, or what was done is said. */
  const began = async ({ value }, words) => {
    if (value) setWanted(value);
    else toast(words);
    await read();
  };
  const close = () => {
    setKind("");
    opener.current.focus();
  };
  const inForm = (job) => kind === "named" && job.kind === "login";
  if (!known && !error && !late) return html`<div class="stack"><h1>Tunnels</h1><p class="dim">Reading…</p></div>`;
  return html`<div class="stack"><header class="row between wrap top"><div><h1>Tunnels</h1>
      <p class="dim">${tunnels.length ? "Each is a way in from outside. Whoever comes by it has to sign in at the gateway."
        : "No tunnel is set up, so nothing is reachable from outside."}</p></div>
      <div class="row wrap"><${Act} act=${read} doing="Looking…">Look again<//>
        <button type="button" class="primary" ref=${opener} aria-expanded=${kind ? "true" : "false"}
          onClick=${() => setKind(kind ? "" : "quick")}>New tunnel</button></div></header>
    <${Failure} error=${live.line === "open" && error} />
    ${kind && html`<${NewTunnel} kind=${kind} setKind=${setKind} close=${close} known=${known} tunnels=${tunnels}
      logins=${snapshot.jobs.filter(inForm)} wanted=${wanted} began=${began} />`}
    <${Jobs} jobs=${snapshot.jobs.filter((job) => !inForm(job))} wanted=${wanted} />
    ${tunnels.map((one) => html`<${TunnelCard} key=${one.name} service=${one} snapshot=${snapshot} known=${known} read=${read}
      began=${began} suggest=${() => setKind("named")} />`)}
    ${known && html`<${Zones} zones=${known.zones} tunnels=${known.tunnels} read=${read} began=${began} />
      <${Import} read=${read} />`}
    <${NetworkDoor} live=${live} /></div>`;
}
