// The link's secret stands behind # and goes nowhere by itself: it is put into the form, and out
// of the address bar and the history.

const field = document.querySelector("#pair [name=token]");
const token = location.hash.slice(1);
if (field && token) {
  field.value = token;
  document.getElementById("paste").hidden = true;
  history.replaceState(null, "", location.pathname);
}
