const byId = (id) => document.getElementById(id);
const NEWEST_REQUESTS = 12;

// Everything from the server is set as text, never as HTML.
function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

async function fetchJson(path, options = {}) {
  const response = await fetch(path, { cache: "no-store", ...options });
  const body = await response.json();
  if (!response.ok) throw new Error(body.error.message);
  return body;
}

const previous = {};

function showCounts(id, counts) {
  const before = previous[id] ?? counts;
  previous[id] = counts;
  const rows = Object.entries(counts).sort(([, first], [, second]) => second - first);
  byId(id).hidden = rows.length === 0;
  byId(id).tBodies[0].replaceChildren(
    ...rows.map(([name, count]) =>
      element("tr", { className: count === before[name] ? "" : "moved" },
        element("td", { textContent: name }),
        element("td", { textContent: count }))));
}

function showRequests({ total, by_operation, by_fault, log }) {
  byId("total").textContent = total;
  showCounts("operations", by_operation);
  showCounts("struck", by_fault);
  byId("log").hidden = log.length === 0;
  byId("log").tBodies[0].replaceChildren(
    ...log.reverse().map(({ method, path, status, fault }) =>
      element("tr", {},
        element("td", { className: "path mono", textContent: `${method} ${path}`, title: path }),
        element("td", {
          className: status < 400 && !fault ? "completed" : "error",
          textContent: fault ? `${fault} ${status}` : status,
        }))));
}

function showRun({ id, status }) {
  return element("div", { className: "run" },
    element("span", { className: `badge ${status}`, textContent: status }),
    element("span", { className: "mono", textContent: id }));
}

const counted = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;

function showStory({ id, title }, contents, runs, more) {
  return element("div", { className: "thread" },
    element("div", { className: "mono", textContent: id }),
    element("p", { textContent: `${title ? `${title}, ` : ""}${contents}` }),
    ...runs.map(showRun),
    ...(more ? [element("p", { textContent: more })] : []));
}

const showThread = (thread) =>
  showStory(thread, counted(thread.messages, "message"), thread.runs, thread.more_runs && "and older runs");

const showConversation = (conversation) =>
  showStory(conversation, counted(conversation.items, "item"), conversation.responses,
    conversation.more_responses && "and older responses");

async function refreshThreads() {
  const key = byId("key").value.trim();
  let shown = { total: null, threads: [], conversations: [] };
  let note = "Enter a key to see its newest threads and conversations.";
  if (key) {
    try {
      shown = await fetchJson("/_emulator/threads", { headers: { Authorization: `Bearer ${key}` } });
      note = shown.total || shown.total_conversations ? "" : "This key has no threads or conversations yet.";
    } catch (error) {
      note = error.message;
    }
  }
  if (key !== byId("key").value.trim()) return;
  byId("thread-count").textContent =
    shown.total === null ? "" : `${counted(shown.total, "thread")}, ${counted(shown.total_conversations, "conversation")}`;
  byId("thread-note").textContent = note;
  byId("thread-list").replaceChildren(...shown.threads.map(showThread), ...shown.conversations.map(showConversation));
}

const SWITCHES = [
  ["Reads answer 503", { operation: "GET", fault: "503" }],
  ["Writes answer 503", { operation: "POST", fault: "503" }],
  ["Everything answers 429, retry after 5 s", { operation: "*", fault: "429", retry_after: 5 }],
  ["Everything takes 2 s longer", { operation: "*", fault: "latency", latency_ms: 2000 }],
  ["Writes take effect, but their answer is lost", { operation: "POST", fault: "reset", when: "after" }],
  ["Every third answer is half a body", { operation: "*", fault: "truncated", every: 3 }],
  ["Streams break off after 8 events", { operation: "*", fault: "cut", events: 8 }],
  ["Streams fall silent after 8 events", { operation: "*", fault: "silent", events: 8 }],
];
const text = (rule) => JSON.stringify(Object.entries(rule).sort());
let rules = [];

function showFaults(answer) {
  const shown = answer.rules.map(({ seen, struck, ...rule }) => ({ rule, seen, struck }));
  rules = shown.map(({ rule }) => rule);
  const active = new Set(rules.map(text));
  byId("switches").querySelectorAll("input").forEach((box, place) => {
    box.checked = active.has(text(SWITCHES[place][1]));
  });
  byId("clear").hidden = byId("rules").hidden = rules.length === 0;
  byId("rules").tBodies[0].replaceChildren(
    ...shown.map(({ rule, seen, struck }) =>
      element("tr", {},
        element("td", { className: "path mono", textContent: describe(rule), title: describe(rule) }),
        element("td", { textContent: `${struck} / ${seen}` }))));
}

function describe({ operation, fault, ...options }) {
  return [operation, fault, ...Object.entries(options).map(([name, value]) => `${name}=${value}`)].join(":");
}

async function changeFaults(options) {
  try {
    showFaults(await fetchJson("/_emulator/faults", options));
  } catch (error) {
    byId("fault-note").textContent = error.message;
  }
}

const replaceRules = (changed) => changeFaults({ method: "PUT", body: JSON.stringify({ rules: changed }) });

function addSwitches() {
  byId("switches").replaceChildren(...SWITCHES.map(([title, rule]) => {
    const box = element("input", { type: "checkbox" });
    box.setAttribute("role", "switch");
    box.addEventListener("change", () => {
      const others = rules.filter((one) => text(one) !== text(rule));
      replaceRules(box.checked ? [...others, rule] : others);
    });
    return element("label", { className: "switch" }, box, title);
  }));
  byId("clear").addEventListener("click", () => changeFaults({ method: "DELETE" }));
}

async function refresh() {
  try {
    if (!document.hidden) {
      showRequests(await fetchJson(`/_emulator/requests?log=${NEWEST_REQUESTS}`));
      await refreshThreads();
      if (faultControl) showFaults(await fetchJson("/_emulator/faults"));
    }
  } catch (error) {
    byId("thread-note").textContent = `The emulator does not answer: ${error.message}`;
  }
  setTimeout(refresh, 1000);
}

byId("key").addEventListener("input", refreshThreads);
byId("reset").addEventListener("click", async () => showRequests(await fetchJson("/_emulator/requests", { method: "DELETE" })));
if (faultControl) addSwitches();
refresh();
