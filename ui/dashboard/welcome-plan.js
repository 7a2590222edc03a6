// Which steps the first start has for this person, and which are left. Pure.

export const isMissing = (setup) => setup.tools.some((tool) => !tool.path);

/** The steps of this first start, and the first that is still to be done. */
export function plan(setup) {
  const tools = isMissing(setup) || setup.passed.includes("tools");
  const steps = [...(tools ? ["tools"] : []), "password", "phone", "done"];
  const over = {
    tools: !isMissing(setup) || setup.passed.includes("tools"),
    password: setup.password || setup.passed.includes("password"),
    phone: setup.passed.includes("phone"),
  };
  const left = setup.finished ? [] : steps.filter((step) => step !== "done" && !over[step]);
  return { steps, left, next: left[0] || "done" };
}
