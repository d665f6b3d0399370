// The status page: draws pictures as the server sends them, and asks the API for changes.
// A picture is the whole truth of one moment; nothing is remembered here but when it came.

const main = document.getElementById("main");
const roles = new Set(main.dataset.roles.split(" ").filter(Boolean));
const cards = new Map();
const SILENCE = 15_000; // the server sends a sign of life every 5 s
const GRACE = 3_000; // a stream ends every few minutes and is opened again; that is no loss
let picture = JSON.parse(document.getElementById("picture").textContent);
let came = Date.now();

// -- drawing

function element(tag, text = "", className = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const parts = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const at = parts.findIndex(([, size]) => whole >= size);
  if (at < 0) return "0 s";
  const [unit, size] = parts[at];
  const first = `${Math.floor(whole / size)} ${unit}`;
  if (at === parts.length - 1) return first;
  const [nextUnit, nextSize] = parts[at + 1];
  const rest = Math.floor((whole % size) / nextSize);
  return rest ? `${first} ${rest} ${nextUnit}` : first;
}

function milliseconds(seconds) {
  const value = seconds * 1000;
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
}

function plot(figure, probes) {
  figure.hidden = probes.length === 0;
  if (figure.hidden) return;
  const highest = Math.max(...probes);
  const scale = highest || 1;
  const step = 240 / Math.max(1, probes.length - 1);
  const points = probes.map((value, index) => `${(index * step).toFixed(1)},${(36 - (value / scale) * 31).toFixed(1)}`);
  if (points.length === 1) points.push(`240,${points[0].split(",")[1]}`);
  const line = `M${points.join("L")}`;
  figure.querySelector(".line").setAttribute("d", line);
  figure.querySelector(".area").setAttribute("d", `${line}L240,40L0,40Z`);
  const words = `last ${milliseconds(probes.at(-1))}, slowest ${milliseconds(highest)} of ${probes.length}`;
  figure.querySelector("svg").setAttribute("aria-label", `latency: ${words}`);
  put(figure.querySelector("figcaption"), words);
}

function details(list, facts) {
  const rows = Object.entries(facts ?? {}).filter(([, value]) => value !== null && value !== "");
  const text = JSON.stringify(rows);
  if (list.dataset.shown === text) return;
  list.dataset.shown = text;
  list.replaceChildren(...rows.map(([key, value]) => {
    const row = document.createElement("div");
    row.append(element("dt", key), element("dd", typeof value === "string" ? value : JSON.stringify(value)));
    return row;
  }));
}

function button(text, action) {
  const made = element("button", text);
  made.type = "button";
  made.addEventListener("click", action);
  return made;
}

function newCard(name) {
  const card = document.getElementById("service").content.firstElementChild.cloneNode(true);
  card.dataset.service = name;
  card.querySelector("h3").textContent = name;
  const actions = card.querySelector(".actions");
  if (roles.has("restart_service")) actions.append(button("Restart", () => restart(name)));
  if (roles.has("change_config")) actions.append(button("Config", () => changeConfig(name)));
  actions.hidden = actions.children.length === 0;
  for (const each of actions.children) each.setAttribute("aria-label", `${each.textContent} ${name}`);
  return card;
}

function drawService(service) {
  let card = cards.get(service.name);
  if (!card) {
    card = newCard(service.name);
    cards.set(service.name, card);
  } else if (card.dataset.state !== service.state) {
    put(document.getElementById("told"), `${service.name} is ${service.state}`);
  }
  card.dataset.state = service.state;
  put(card.querySelector(".word"), service.state);
  const error = card.querySelector(".error");
  const problem = service.problem ?? service.error;
  error.hidden = !problem;
  put(error, problem ?? "");
  put(card.querySelector(".restarts"), String(Math.max(0, (service.attempts ?? 0) - 1)));
  const version = service.version ? ` ${service.version}` : "";
  put(card.querySelector(".from"), service.distribution ? `${service.distribution}${version}` : "nobody");
  plot(card.querySelector(".probes"), service.probe_seconds ?? []);
  details(card.querySelector(".details"), service.details);
  return card;
}

function badge(status) {
  const tone = /^(selected|pinned)/.test(status) ? "good" : /^(failed|blocked)/.test(status) ? "bad" : status === "tied" ? "warn" : "";
  return element("span", status, `badge ${tone}`);
}

function cell(content, className = "") {
  const made = element("td", "", className);
  made.append(content);
  return made;
}

function drawNames() {
  const list = document.getElementById("names");
  const text = JSON.stringify(picture.names);
  if (list.dataset.shown === text) return;
  list.dataset.shown = text;
  const open = new Set([...list.querySelectorAll("details[open]")].map((each) => each.dataset.key));
  list.replaceChildren(...picture.names.map((name) => {
    const row = document.createElement("details");
    row.dataset.key = `${name.pillar} ${name.name}`;
    row.open = open.has(row.dataset.key);
    const summary = element("summary");
    const winner = name.candidates[0];
    const rivals = name.candidates.length > 1 ? `, of ${name.candidates.length}` : "";
    summary.append(element("strong", name.name), element("span", `${name.pillar}: ${winner ? winner.distribution : "nobody"}${rivals}`, "quiet"));
    const table = document.createElement("table");
    const head = table.createTHead().insertRow();
    for (const title of ["status", "distribution", "version", "priority", "target"]) {
      const th = element("th", title);
      th.scope = "col";
      head.append(th);
    }
    const body = table.createTBody();
    for (const candidate of name.candidates) {
      body.insertRow().append(
        cell(badge(candidate.status)), cell(candidate.distribution), cell(candidate.version ?? ""),
        cell(candidate.priority === null ? "unknown" : String(candidate.priority), "number"), cell(candidate.target, "code"),
      );
    }
    const scroll = element("div", "", "scroll");
    scroll.append(table);
    row.append(summary, scroll);
    if (name.problem) row.append(element("p", name.problem, "error"));
    return row;
  }));
}

function drawPlugins() {
  document.getElementById("plugins").replaceChildren(...picture.plugins.map((plugin) => {
    const row = document.createElement("tr");
    const tone = { failed: "bad", loaded: "good", blocked: "warn" }[plugin.state] ?? "";
    const state = cell(element("span", plugin.state, `badge ${tone}`));
    if (plugin.error) state.append(" ", plugin.error);
    row.append(cell(plugin.distribution), cell(plugin.version ?? ""), state);
    return row;
  }));
}

function drawChanges() {
  const rows = document.getElementById("changes");
  const text = JSON.stringify(picture.changes);
  if (rows.dataset.shown === text) return;
  rows.dataset.shown = text;
  const tones = { RUNNING: "good", FAILED: "bad" };
  const settled = picture.changes.filter((change) => change.state in tones);
  document.getElementById("no-changes").hidden = settled.length > 0;
  document.getElementById("changes-box").hidden = settled.length === 0;
  rows.replaceChildren(...settled.slice(-12).reverse().map((change) => {
    const row = document.createElement("tr");
    const time = element("time", new Date(change.at * 1000).toLocaleTimeString());
    time.dateTime = new Date(change.at * 1000).toISOString();
    const state = element("span", change.state, `badge ${tones[change.state]}`);
    row.append(cell(time, "time"), cell(change.service), cell(state), cell(change.error ?? "", "why"));
    return row;
  }));
}

function summary() {
  const failed = picture.services.filter((each) => each.state === "FAILED").length;
  const running = picture.services.filter((each) => each.state === "RUNNING").length;
  const all = picture.services.length;
  if (!all) return "No services";
  if (failed) return failed === 1 ? "One service has failed" : `${failed} services have failed`;
  if (running === all) return all === 1 ? "The service runs" : `All ${all} services run`;
  return `${running} of ${all} services run`;
}

function draw() {
  put(document.getElementById("summary"), summary());
  const waiting = picture.waiting.length ? `Not ready: ${picture.waiting.join(", ")}` : "";
  put(document.getElementById("waiting"), picture.problem ?? waiting);
  const names = new Set(picture.services.map((each) => each.name));
  for (const [name, card] of cards) if (!names.has(name)) { card.remove(); cards.delete(name); }
  const grid = document.getElementById("services");
  picture.services.map(drawService).forEach((card, index) => {
    if (grid.children[index] !== card) grid.insertBefore(card, grid.children[index] ?? null);
  });
  drawChanges();
  drawNames();
  drawPlugins();
  drawTimes();
}

function drawTimes() {
  const passed = (Date.now() - came) / 1000;
  for (const service of picture.services) {
    const card = cards.get(service.name);
    if (!card) continue;
    const since = service.since_seconds;
    const cellSince = card.querySelector(".since");
    put(cellSince, since === null ? "never started" : duration(since + passed));
    if (since !== null) cellSince.title = new Date(came - since * 1000).toLocaleString();
    const next = card.querySelector(".next");
    next.hidden = service.next_attempt_seconds === null;
    if (!next.hidden) {
      const left = service.next_attempt_seconds - passed;
      put(next.querySelector("dd"), left > 1 ? `in ${duration(left)}` : "now");
    }
  }
}

function take(next) {
  picture = next;
  came = Date.now();
  draw();
}

// -- staying live

let source = null;
let heard = Date.now();
let lostSince = null;
let polling = null;
let delay = 1_000;

function alive() {
  heard = Date.now();
  lostSince = null;
  delay = 1_000;
  document.body.classList.remove("stale");
  document.getElementById("lost").hidden = true;
  document.getElementById("link").dataset.link = "live";
  put(document.getElementById("link-text"), polling ? "live, every 5 s" : "live");
}

function lost(reason) {
  lostSince ??= Date.now();
  if (Date.now() - lostSince < GRACE && Date.now() - heard < SILENCE) return;
  const banner = document.getElementById("lost");
  const words = `Connection lost: what is shown is from ${new Date(heard).toLocaleTimeString()}. ${reason}`;
  put(banner, words);
  banner.hidden = false;
  document.body.classList.add("stale");
  document.getElementById("link").dataset.link = "lost";
  put(document.getElementById("link-text"), "not connected");
}

function connect() {
  source?.close();
  source = new EventSource(main.dataset.events);
  source.addEventListener("status", (event) => { take(JSON.parse(event.data)); alive(); });
  source.addEventListener("beat", alive);
  source.addEventListener("error", () => {
    lostSince ??= Date.now();
    if (source.readyState === EventSource.CLOSED) refused();
  });
}

// The browser says nothing of why a stream was refused: the snapshot does.
async function refused() {
  source.close();
  source = null;
  const answer = await look();
  if (answer === 401) {
    lost("You are logged out: load the page again.");
  } else if (answer === 200 && !polling) {
    polling = setInterval(look, 5_000); // a server that cannot stream, or not now
    setTimeout(() => { clearInterval(polling); polling = null; connect(); }, 60_000);
  } else if (!polling) {
    lost("Trying again.");
    setTimeout(connect, delay);
    delay = Math.min(delay * 2, 30_000);
  }
}

async function look() {
  try {
    const answer = await fetch(main.dataset.snapshot, { cache: "no-store" });
    if (answer.ok) { take(await answer.json()); alive(); }
    return answer.status;
  } catch {
    return 0;
  }
}

setInterval(() => {
  drawTimes();
  if (lostSince !== null || Date.now() - heard > SILENCE) lost("Trying again.");
  if (source && Date.now() - heard > 2 * SILENCE) { heard = Date.now() - SILENCE; connect(); }
}, 1_000);
// A device that slept finds out at once, not at the next beat.
addEventListener("online", () => { if (!polling) connect(); });

// -- changes

const dialog = document.getElementById("dialog");
const part = (name) => document.getElementById(`dialog-${name}`);
let submit = null;

function showError(text) {
  part("error").hidden = !text;
  put(part("error"), text);
}

function ask({ title, text, yes, action, config = null, unset = null }) {
  put(part("title"), title);
  put(part("text"), text);
  put(part("yes"), yes);
  part("config").hidden = config === null;
  part("unset").hidden = unset === null;
  part("unset").onclick = unset && (() => run(unset));
  if (config !== null) { put(part("now"), config); part("change").value = "{}"; }
  showError("");
  submit = action;
  dialog.showModal();
  (config === null ? part("no") : part("change")).focus();
}

async function run(action) {
  const buttons = dialog.querySelectorAll("button");
  for (const each of buttons) each.disabled = true;
  showError("");
  try {
    await action();
    dialog.close();
  } catch (error) {
    showError(error.message);
  } finally {
    for (const each of buttons) each.disabled = false;
  }
}

dialog.querySelector("form").addEventListener("submit", (event) => { event.preventDefault(); run(submit); });
part("no").addEventListener("click", () => dialog.close());

async function api(method, path, body) {
  const headers = { "X-CSRFToken": main.dataset.csrf };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(main.dataset.api + path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    throw new Error("The server did not answer; whether the change was made is not known.");
  }
  const found = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(found.detail ?? `The server answered ${answer.status}.`);
  return found;
}

const path = (name, rest) => `services/${encodeURIComponent(name)}/${rest}`;

function restart(name) {
  ask({
    title: `Restart ${name}?`,
    text: "It is stopped and started anew with its present settings. Whoever uses it meanwhile gets an error.",
    yes: "Restart",
    action: () => api("POST", path(name, "refresh")),
  });
}

async function changeConfig(name) {
  let config = "";
  try {
    config = JSON.stringify((await api("GET", path(name, "config"))).config, null, 2);
  } catch (error) {
    config = error.message;
  }
  ask({
    title: `Change the config of ${name}?`,
    text: "A service with the changed keys is started and probed first. If it does not run, nothing is changed.",
    yes: "Change",
    config,
    action: async () => {
      let changes;
      try {
        changes = JSON.parse(part("change").value);
      } catch (error) {
        throw new Error(`That is not JSON: ${error.message}`);
      }
      await api("PATCH", path(name, "config"), changes);
    },
    unset: () => api("DELETE", path(name, "config")),
  });
}

document.getElementById("regenerate")?.addEventListener("click", () => ask({
  title: "Regenerate?",
  text: "Every service that is to run and does not is started, and provisioned if need be.",
  yes: "Regenerate",
  action: () => api("POST", "regenerate"),
}));

draw();
connect();
