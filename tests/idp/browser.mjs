// As much of a web browser as it takes to sign in: a cookie jar, redirects, forms without scripts.

const MOST_STEPS = 20;

/** A browser with an empty cookie jar. Use one for each sign-in, so that nobody is signed in yet. */
export class Browser {
  #cookies = new Map();

  /**
   * Opens `url`, follows redirects and sends every form that is shown, filled in from `answers`,
   * until a redirect leads to `destination`. Returns that address; it is not opened.
   */
  async travel(url, destination, answers) {
    let response = await this.#request(url);
    for (let step = 0; step < MOST_STEPS; step += 1) {
      const next = nextAddress(response);
      if (next && startsAt(next, destination)) return next;
      response = next ? await this.#request(next) : await this.#submitForm(response, answers);
    }
    throw new Error(`no redirect to ${destination} after ${MOST_STEPS} pages`);
  }

  async #submitForm(page, answers) {
    const html = await page.text();
    if (!page.ok) throw new Error(`${page.url} answered ${page.status}: ${html}`);
    const form = readForm(html, answers);
    return this.#request(new URL(form.action, page.url), { method: 'POST', body: form.fields });
  }

  async #request(url, init = {}) {
    const response = await fetch(url, {
      ...init,
      headers: { cookie: this.#cookieHeader() },
      redirect: 'manual',
    });
    response.headers.getSetCookie().forEach((cookie) => this.#keepCookie(cookie));
    return response;
  }

  // Paths are ignored: the server uses one name for the cookie of each step, and the newest is meant.
  #keepCookie(setCookie) {
    const [pair] = setCookie.split(';');
    const separator = pair.indexOf('=');
    const name = pair.slice(0, separator);
    const value = pair.slice(separator + 1);
    if (value) this.#cookies.set(name, value);
    else this.#cookies.delete(name);
  }

  #cookieHeader() {
    return [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ');
  }
}

function nextAddress(response) {
  const location = response.headers.get('location');
  return location === null ? null : new URL(location, response.url);
}

function startsAt(url, destination) {
  return `${url.origin}${url.pathname}` === destination;
}

function readForm(html, answers) {
  const action = /<form[^>]*\baction="([^"]+)"/.exec(html)?.[1];
  if (!action) throw new Error(`a page without a form: ${html}`);
  const fields = new URLSearchParams();
  for (const [input] of html.matchAll(/<input[^>]*>/g)) {
    const name = attribute(input, 'name');
    fields.set(name, attribute(input, 'value') ?? answers[name] ?? '');
  }
  return { action, fields };
}

function attribute(tag, name) {
  return new RegExp(`\\b${name}="([^"]*)"`).exec(tag)?.[1];
}
