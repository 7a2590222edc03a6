// What a page reads besides the Snapshot: asked again when it may have changed, and, when it
// could not be had, again by itself until it is.

import { useEffect, useRef, useState } from "/vendor/preact-htm.js";

const FIRST_MS = 1000;
const LONGEST_MS = 8000;

/** What `load(signal)` answers, read anew when one of `deps` changes: [value, error, read, set].
 *  An old value stays while a new one is not there; the error tells that it is old. `read` asks
 *  at once; an answer that has been overtaken is dropped. A refusal is not asked again. */
export function useFetched(load, deps = []) {
  const [value, setValue] = useState(null);
  const [error, setError] = useState(null);
  const now = useRef({ gone: null, wait: FIRST_MS, timer: 0 }).current;

  const read = async () => {
    clearTimeout(now.timer);
    now.gone?.abort();
    const mine = new AbortController();
    now.gone = mine;
    try {
      const found = await load(mine.signal);
      if (mine.signal.aborted) return;
      now.wait = FIRST_MS;
      setValue(found);
      setError(null);
    } catch (problem) {
      if (mine.signal.aborted) return;
      setError(problem);
      if (problem.status >= 400 && problem.status < 500) return;
      now.timer = setTimeout(read, now.wait);
      now.wait = Math.min(now.wait * 2, LONGEST_MS);
    }
  };
  const set = (found) => {
    now.gone?.abort();
    setValue(found);
    setError(null);
  };
  useEffect(() => { read(); }, deps);
  useEffect(() => () => {
    clearTimeout(now.timer);
    now.gone?.abort();
  }, []);
  return [value, error, read, set];
}
