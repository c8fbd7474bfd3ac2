// A real browser for the tests: reads one JSON order a line from stdin, writes one JSON line of what it saw.
// Order: {url, until, username, password, answer, keep, script}.  It opens `url`, signs in where it is asked to, answers the
// consent page, and stops at a URL that begins with `until` or at a page that asks for nothing.  `keep` names a profile that
// lasts; `script: false` switches the page's JavaScript off.  Argument: the browser's executable.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'
import { chromium } from 'playwright-core'

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const MOST_PAGES = 8

const browser = await chromium.launch({
  executablePath: process.argv[2],
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'],
})
const profiles = new Map()

async function profile(order) {
  if (order.keep && profiles.has(order.keep)) return profiles.get(order.keep)
  const context = await browser.newContext({ javaScriptEnabled: order.script !== false })
  context.setDefaultTimeout(10_000)
  if (order.keep) profiles.set(order.keep, context)
  return context
}

async function violations(page) {
  await page.evaluate(AXE)
  const found = await page.evaluate(() => globalThis.axe.run())
  return found.violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`)
}

async function press(page, selector) {
  const before = page.url()
  await page.click(selector)
  await page.waitForURL((url) => url.href !== before)  // each form here leads to another URL than its page's
}

async function run(order) {
  const context = await profile(order)
  const page = await context.newPage()
  const seen = { pages: [], console: [], hosts: [], landed: '' }
  page.on('console', (message) => seen.console.push(message.text()))
  page.on('request', (request) => seen.hosts.push(new URL(request.url()).host))
  try {
    await page.goto(order.url)
    for (let number = 0; number < MOST_PAGES; number += 1) {
      const { kind, url } = await look(page)
      seen.landed = url
      if (url.startsWith(order.until)) break
      const wrong = order.script === false ? [] : await violations(page)
      seen.pages.push({ kind, title: await page.title(), text: await page.innerText('main'), violations: wrong })
      if (kind === 'sign-in' && order.password !== undefined && seen.pages.at(-2)?.kind !== 'sign-in') {
        await page.fill('[name=username]', order.username)
        await page.fill('[name=password]', order.password)
        await press(page, '[name=password] ~ button[type=submit]')
      } else if (kind === 'consent' && order.answer !== undefined) {
        await press(page, `button[name=answer][value=${order.answer}]`)
      } else {
        break
      }
    }
    seen.hosts = [...new Set(seen.hosts)]
    return seen
  } finally {
    if (order.keep) await page.close()
    else await context.close()
  }
}

// What is shown, in one look: a page that leads on by itself may be gone at the next.
async function look(page) {
  for (const end = Date.now() + 10_000; Date.now() < end;) {
    const shown = await page.evaluate(() => {
      const has = (selector) => document.querySelector(selector) !== null
      const kind = has('button[name=answer]') ? 'consent' : has('meta[http-equiv=refresh]') ? 'continue'
        : location.pathname.endsWith('/sign-in') && has('[name=password]') ? 'sign-in' : 'page'
      return { kind, url: location.href, ready: document.readyState === 'complete' }
    }).catch(() => ({ ready: false }))
    if (shown.ready && shown.kind !== 'continue') return shown
    await page.waitForTimeout(5)
  }
  throw new Error(`${page.url()} leads nowhere`)
}

console.log(JSON.stringify({ version: browser.version() }))
for await (const line of createInterface({ input: process.stdin })) {
  const answer = await run(JSON.parse(line)).catch((error) => ({ error: String(error) }))
  console.log(JSON.stringify(answer))
}
await browser.close()
