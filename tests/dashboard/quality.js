// What the quality tests ask of a page, in the page. Each returns a list of complaints.
window.quality = (() => {
  const named = (element) => `${element.tagName.toLowerCase()}.${element.className}`
    + ` “${(element.getAttribute('aria-label') || element.textContent || '').trim().slice(0, 40)}”`;
  const seen = (element) => element.checkVisibility({ visibilityProperty: true })
    && !element.closest('.unseen, .skip, [aria-hidden=true]');
  const round = (rect) => [rect.left, rect.top, rect.right, rect.bottom].map(Math.round).join(' ');

  /** Text that runs out of the window, or out of a box that cuts it off and does not scroll.
   *  Rows of the log list are cut on purpose: a press shows the whole line. */
  const cut = () => {
    const found = new Set();
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node; (node = walk.nextNode());) {
      const parent = node.parentElement;
      if (!node.data.trim() || !seen(parent) || parent.closest('[role=listbox], option')) continue;
      const range = document.createRange();
      range.selectNodeContents(node);
      for (const rect of range.getClientRects()) {
        const box = clipper(parent);
        if (box && (rect.right > box.right + 1.5 || rect.left < box.left - 1.5
          || rect.bottom > box.bottom + 1.5 || rect.top < box.top - 1.5)) {
          found.add(`cut: ${named(parent)} ${round(rect)} in ${round(box)}`);
        }
      }
    }
    return [...found];
  };
  const clipper = (element) => {
    for (let one = element; one && one !== document.body; one = one.parentElement) {
      const { overflowX, display } = getComputedStyle(one);
      if (['auto', 'scroll'].includes(overflowX)) return null;
      if (['hidden', 'clip'].includes(overflowX) && display !== 'inline') return one.getBoundingClientRect();
    }
    return { left: 0, right: innerWidth, top: -Infinity, bottom: Infinity };
  };

  const wider = () => {
    const { scrollWidth } = document.documentElement;
    if (scrollWidth <= innerWidth) return [];
    const out = [...document.querySelectorAll('body *')].filter((one) => seen(one)
      && one.getBoundingClientRect().right > innerWidth + 1);
    return [`${scrollWidth} px wide in ${innerWidth}: ${out.slice(-3).map(named).join(', ')}`];
  };

  /** Targets below 24 px that are no words of a sentence. Rows of the log list are as high as
   *  a line of text; keys choose them too. */
  const small = () => [...document.querySelectorAll('a, button, input, select, textarea, summary, [role=button]')]
    .filter(seen).map((element) => [element, reach(element)])
    .filter(([element, { width, height }]) => (width < 23.5 || height < 23.5) && !inSentence(element))
    .map(([element, { width, height }]) => `small: ${named(element)} ${Math.round(width)}×${Math.round(height)}`);
  const reach = (element) => {
    const own = element.getBoundingClientRect();
    const label = element.matches('input[type=checkbox], input[type=radio]') && element.closest('label');
    if (label) return label.getBoundingClientRect();
    const over = getComputedStyle(element, '::after');
    return over.position === 'absolute' && over.content !== 'none' && element.offsetParent
      ? element.offsetParent.getBoundingClientRect() : own;
  };
  const inSentence = (element) => element.matches('a') && getComputedStyle(element).display === 'inline'
    && element.parentElement.textContent.trim() !== element.textContent.trim();

  /** How the element that has the focus shows it. `place` is its order in the document. */
  const focused = () => {
    const element = document.activeElement;
    if (!element || element === document.body) return null;
    const style = getComputedStyle(element);
    const rect = element.getBoundingClientRect();
    const x = Math.min(Math.max((rect.left + rect.right) / 2, 0), innerWidth - 1);
    const y = Math.min(Math.max((rect.top + rect.bottom) / 2, 0), innerHeight - 1);
    const at = document.elementFromPoint(x, y);
    const complaints = [];
    if (style.outlineStyle === 'none' || parseFloat(style.outlineWidth) < 2) complaints.push(`no outline: ${named(element)}`);
    if (rect.bottom <= 0 || rect.top >= innerHeight || rect.right <= 0 || rect.left >= innerWidth) {
      complaints.push(`out of sight: ${named(element)} ${round(rect)}`);
    } else if (!at || !(element.contains(at) || at.contains(element) || at.closest('label')?.contains(element))) {
      complaints.push(`covered: ${named(element)} by ${at && named(at)}`);
    }
    return { place: [...document.querySelectorAll('*')].indexOf(element), name: named(element), complaints };
  };

  /** How many things in the page Tab should reach; a group of radio buttons is one. */
  const stops = () => [...document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex="0"]')]
    .filter((one) => seen(one) && !one.disabled && one.tabIndex >= 0
      && !(one.type === 'radio' && document.querySelector(`input[type=radio][name="${one.name}"]`) !== one)).length;

  /** The most space that WCAG 1.4.12 lets a person ask for. */
  const space = () => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync('* { line-height: 1.5 !important; letter-spacing: 0.12em !important;'
      + ' word-spacing: 0.16em !important } p { margin-bottom: 2em !important }');
    document.adoptedStyleSheets = [sheet];
  };

  return { cut, wider, small, focused, stops, space };
})();
