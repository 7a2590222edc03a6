// Before the first paint, so that a chosen theme never flashes the other one. Not a module:
// those run after the page is read.
(() => {
  let theme = null;
  try {
    theme = localStorage.getItem("nexus-theme");
  } catch (error) {
    console.warn("no local storage: the system's theme is used", error);
  }
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
})();
