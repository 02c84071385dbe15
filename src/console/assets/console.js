// What the pages do beyond HTML. Each part works without it: times are then in UTC, addresses are copied by hand.

const language = document.documentElement.lang;

/** Times in the reader's own zone: the server knows only UTC. */
function localise(/** @type {ParentNode} */ root) {
  for (const time of root.querySelectorAll('time[data-show]')) {
    const at = new Date(time.getAttribute('datetime') ?? '');
    if (Number.isNaN(at.getTime())) continue;
    const dateStyle = time.getAttribute('data-show') === 'short' && isToday(at) ? undefined : 'medium';
    time.textContent = new Intl.DateTimeFormat(language, { dateStyle, timeStyle: 'short' }).format(at);
    time.setAttribute(
      'title',
      new Intl.DateTimeFormat(language, { dateStyle: 'full', timeStyle: 'long' }).format(at),
    );
    time.removeAttribute('data-show');
  }
}

function isToday(/** @type {Date} */ at) {
  return at.toDateString() === new Date().toDateString();
}

/** A button with `data-copy` copies that text, and says so in its own words. */
async function copy(/** @type {HTMLElement} */ button) {
  await navigator.clipboard.writeText(button.dataset.copy ?? '');
  const label = button.textContent;
  button.textContent = button.dataset.copied ?? label;
  setTimeout(() => (button.textContent = label), 2000);
}

document.addEventListener('click', (event) => {
  const button = event.target instanceof Element ? event.target.closest('[data-copy]') : null;
  if (button instanceof HTMLElement) void copy(button);
});

// Also what htmx puts into the page later; where it changes what is there, the attribute comes back.
new MutationObserver((changes) => {
  for (const { addedNodes, target, type } of changes) {
    if (type === 'attributes' && target instanceof Element) localise(target.parentElement ?? target);
    for (const node of addedNodes) if (node instanceof Element) localise(node.parentElement ?? node);
  }
}).observe(document.body, {
  childList: true,
  subtree: true,
  attributes: true,
  attributeFilter: ['data-show'],
});
localise(document);

// A page that only leads on: its form is sent by a click where there are no scripts.
const leadsOn = document.querySelector('form[data-submit]');
if (leadsOn instanceof HTMLFormElement) leadsOn.requestSubmit();

// The end of connecting: whoever opened this page, or shows it in a frame, hears of it, if it is the CRM.
const end = document.querySelector('[data-tell]');
if (end instanceof HTMLElement) tellEnd(end.dataset);

function tellEnd(/** @type {DOMStringMap} */ { tell = '', tellTo = '', goesTo }) {
  const listener = window.parent === window ? window.opener : window.parent;
  // A frame of our own has opened this window: it looks by itself, and tells the CRM.
  const origins = listener === null || isOurs(listener) ? [] : tellTo.split(' ').filter(Boolean);
  for (const origin of origins) listener.postMessage(JSON.parse(tell), origin);
  if (window.opener !== null) window.close();
  else if (goesTo !== undefined) window.location.replace(goesTo);
}

function isOurs(/** @type {Window} */ other) {
  try {
    return other.location.origin === window.location.origin;
  } catch {
    // Another site's window does not say where it is.
    return false;
  }
}

// A mail in a frame says how high it is (admin/reading/content.tsx). It is a stranger's: nothing else is taken from it.
const mailHeightMax = 20_000;

window.addEventListener('message', ({ source, data }) => {
  const height = Number(data?.mailHeight);
  if (!(height > 0)) return;
  for (const frame of document.querySelectorAll('iframe.mail'))
    if (frame instanceof HTMLIFrameElement && frame.contentWindow === source)
      frame.style.height = `${Math.min(height, mailHeightMax)}px`;
});

// A box with `data-choose-all` chooses all boxes of that name in its form; where there are no scripts it stays hidden.
for (const box of document.querySelectorAll('[data-choose-all]'))
  if (box instanceof HTMLElement) box.hidden = false;

document.addEventListener('change', (event) => {
  const box = event.target;
  if (!(box instanceof HTMLInputElement) || box.form === null) return;
  const name = box.dataset.chooseAll;
  if (name === undefined) return;
  for (const one of box.form.elements)
    if (one instanceof HTMLInputElement && one.name === name) one.checked = box.checked;
});
