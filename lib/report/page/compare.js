'use strict';
// The page of `klp-diff compare --html`: lists what the index has, unfolds the code (page_code.h says how it is written).
(() => {
  const STEP = 100;  // entries made at a time
  const WORDS = ['changed', 'new', 'removed'];
  const byId = (id) => document.getElementById(id);
  const index = JSON.parse(byId('index').textContent);

  const make = (tag, properties, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };
  const number = (n) => n.toLocaleString('en-US');

  // Everything that can be listed, in the order of the page.
  const entries = [];
  const shownKinds = new Map();  // kind of entry -> {label, count, on}
  const add = (binary, kind, label, entry) => {
    if (!shownKinds.has(kind)) shownKinds.set(kind, {label, count: 0, on: true});
    shownKinds.get(kind).count++;
    entries.push(Object.assign(entry, {binary, kind, text: `${entry.name} ${entry.file || ''} ${binary.name}`.toLowerCase()}));
  };
  for (const word of WORDS) shownKinds.set(`functions ${word}`, {label: `functions ${word}`, count: 0, on: true});
  for (const word of WORDS) shownKinds.set(`variables ${word}`, {label: `variables ${word}`, count: 0, on: true});
  const weight = (b) => b.functions.length + b.data.length + b.exports.length;
  index.binaries.sort((a, b) => weight(b) - weight(a));
  const facts = (binary, subject, list) => {
    for (const [k, name, reason] of list) add(binary, subject, '', {name, reason, word: WORDS[k], fact: true});
  };
  for (const binary of index.binaries) {
    if (binary.only)
      add(binary, 'binaries', 'only in one build',
          {name: binary.name, word: binary.only === 'before' ? 'removed' : 'new', whole: true});
    for (const [k, name, file, before, after, reason, livepatch, why, place] of binary.functions)
      add(binary, `functions ${WORDS[k]}`, '',
          {name, file, before, after, reason, livepatch, why, place, word: WORDS[k], code: true});
    for (const [k, name, file, before, after, reason, livepatch] of binary.data)
      add(binary, `variables ${WORDS[k]}`, '', {name, file, before, after, reason, livepatch, word: WORDS[k], what: 'variable'});
    facts(binary, 'exports', binary.exports);
  }
  const others = Object.entries(index.facts).filter(([, list]) => list.length).map(([name, list]) => ({name, list}));
  for (const other of others) facts(other, other.name, other.list);

  // The code of a binary's functions is packed, and unpacked when the first of them is unfolded.
  const unpacked = new Map();
  const unpack = async (place) => {
    const bytes = Uint8Array.from(atob(byId(`code-${place}`).textContent), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate'));
    return (await new Response(stream).text()).split('\f');
  };
  const codeOf = (entry) => {
    const place = entry.binary.place;
    if (!unpacked.has(place)) unpacked.set(place, unpack(place));
    return unpacked.get(place).then((all) => all[entry.place]);
  };

  // What two texts have in the middle, between a common start and a common end.
  const marked = (text, other) => {
    let start = 0, end = 0;
    const shorter = Math.min(text.length, other.length);
    while (start < shorter && text[start] === other[start]) start++;
    while (end < shorter - start && text[text.length - 1 - end] === other[other.length - 1 - end]) end++;
    const middle = text.slice(start, text.length - end);
    return [text.slice(0, start), middle ? make('mark', {textContent: middle}) : '', text.slice(text.length - end)];
  };

  const cell = (side, sign, offset, ...text) =>
    make('td', {className: side}, make('span', {className: 'sign', textContent: sign}),
         make('span', {className: 'offset', textContent: `+0x${offset}`}), ...text);
  const empty = (side) => make('td', {className: side});
  const wide = (text) => make('tr', {className: 'g'}, make('td', {colSpan: 2, textContent: text}));

  const row = (fields) => {
    const [letter, first, second, text, other] = fields;
    const tr = make('tr', {className: letter});
    switch (letter) {
      case 's':
        if (first && second) tr.className = 's both';
        tr.append(make('td', {className: 'a', textContent: first}), make('td', {className: 'b', textContent: second}));
        break;
      case 'r': tr.append(cell('a', '−', first, second), empty('b')); break;
      case 'a': tr.append(empty('a'), cell('b', '+', first, second)); break;
      case 'c':
        tr.append(cell('a', '−', first, ...marked(text, other)), cell('b', '+', second, ...marked(other, text)));
        break;
      case 'g': return wide(`${number(+first)} equal`);
      case 'x': return wide(`${number(+first)} more left out of this page: klp-diff compare --function shows them`);
      default: tr.append(cell('a', '', first, text), cell('b', '', second, other === undefined ? text : other));
    }
    return tr;
  };

  const table = (name, before, after) => {
    const head = make('tr', {}, make('th', {scope: 'col', textContent: index.before}), make('th', {scope: 'col', textContent: index.after}));
    const body = make('tbody');
    const sizes = before === '0' ? `new, ${after} bytes` : after === '0' ? `removed, ${before} bytes` : `${before} → ${after} bytes`;
    return [make('table', {}, make('caption', {textContent: `${name}, ${sizes}`}), make('thead', {}, head), body), body];
  };

  const tables = (code) => {
    const result = document.createDocumentFragment();
    let body = null;
    for (const line of code.split('\n')) {
      const fields = line.split('\t');
      if (fields[0] === 'p') {
        let element;
        [element, body] = table(fields[1], fields[2], fields[3]);
        result.append(element);
      } else if (line && body) {
        body.append(row(fields));
      }
    }
    return result;
  };

  const fact = (label, text) => make('p', {}, make('b', {textContent: `${label} `}), text);
  const fill = async (entry, body) => {
    if (entry.reason) body.append(make('p', {textContent: entry.reason}));
    if (entry.why) body.append(fact('from', entry.why));
    if (entry.livepatch) body.append(fact('in a livepatch:', entry.livepatch));
    if (!entry.code) return;
    if (entry.place < 0) {
      body.append(make('p', {textContent: 'The code was left out of this page: klp-diff compare --function shows it.'}));
      return;
    }
    const wait = make('p', {textContent: 'unpacking…'});
    body.append(wait);
    try {
      wait.replaceWith(tables(await codeOf(entry)));
    } catch (error) {
      wait.textContent = `This browser cannot unpack the code (${error}).`;
    }
    body.dataset.done = 'yes';
  };

  const sizesOf = (entry) => {
    if (entry.fact) return entry.reason;
    if (entry.whole) return `only in the ${entry.binary.only === 'before' ? 'first' : 'second'} build`;
    const {before, after} = entry;
    return before && after && before !== after ? `${before} → ${after} bytes` : `${before || after} bytes`;
  };

  const element = (entry) => {
    const kind = entry.what ? `${entry.word} ${entry.what}` : entry.word;
    const name = make('span', {className: 'name', textContent: entry.name});
    const summary = make('summary', {}, make('span', {className: `kind ${entry.word}`, textContent: kind}), name,
                         make('span', {className: 'more', textContent: [entry.file, sizesOf(entry)].filter(Boolean).join(', ')}));
    if (entry.fact || entry.whole) return make('div', {className: 'entry'}, make('p', {className: 'line'}, ...summary.children));
    const body = make('div', {className: 'body'});
    const details = make('details', {className: 'entry'}, summary, body);
    let filled = false;
    details.addEventListener('toggle', () => {
      if (!details.open || filled) return;
      filled = true;
      fill(entry, body);
    });
    return details;
  };

  // Filters, and the list that they leave.
  const search = byId('search'), module = byId('module'), list = byId('list'), more = byId('more');
  let matches = [], made = 0, lastBinary = null;

  const headingOf = (binary) => {
    if (!binary.of) return number(binary.list.length);
    if (binary.only) return '';
    const [functions, variables] = binary.of;
    return `${number(binary.functions.length)} of ${number(functions)} functions, ` +
           `${number(binary.data.length)} of ${number(variables)} variables` +
           (binary.exports.length ? `, ${number(binary.exports.length)} exported symbols` : '') +
           (binary.lines ? '' : '; source lines are not known: a build has no debug information that can be read');
  };

  const append = (count) => {
    const end = Math.min(matches.length, made + count);
    const part = document.createDocumentFragment();
    for (; made < end; made++) {
      const entry = matches[made];
      if (entry.binary !== lastBinary) {
        lastBinary = entry.binary;
        part.append(make('h2', {}, `${lastBinary.name} `, make('small', {textContent: headingOf(lastBinary)})));
      }
      part.append(element(entry));
    }
    list.append(part);
    more.hidden = made === matches.length;
    more.textContent = `show ${number(Math.min(STEP * 2, matches.length - made))} more of ${number(matches.length - made)}`;
  };

  const remember = () => {
    const off = [...shownKinds].filter(([, kind]) => kind.count && !kind.on).map(([name]) => name);
    const state = new URLSearchParams();
    if (search.value) state.set('q', search.value);
    if (module.value) state.set('in', module.value);
    if (off.length) state.set('not', off.join(','));
    const hash = state.toString();
    try { history.replaceState(null, '', hash ? `#${hash}` : '#'); } catch { /* a page that may not have a history */ }
  };

  const update = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    matches = entries.filter((e) => (!module.value || e.binary.name === module.value) && shownKinds.get(e.kind).on &&
                                    words.every((word) => e.text.includes(word)));
    list.replaceChildren();
    made = 0;
    lastBinary = null;
    append(STEP);
    byId('count').textContent = `${number(matches.length)} of ${number(entries.length)}`;
    remember();
  };

  const about = (label, text) => byId('about').append(make('dt', {textContent: label}), make('dd', {textContent: text}));
  about('before', index.before);
  about('after', index.after);
  const subjects = [['functions', 'functions'], ['data', 'variables'], ['exports', 'exported symbols']];
  const totals = subjects.map(([field, of]) => [index.binaries.reduce((n, b) => n + b[field].length, 0), of]);
  const inBinaries = totals.filter(([n]) => n).map(([n, of]) => `${number(n)} ${of}`);
  const differ = [...inBinaries, ...others.map(({name, list}) => `${name} ${number(list.length)}`)].join(', ');
  about('differ', entries.length === 0 ? 'nothing' :
        `${differ || 'no function and no variable'}; ${number(index.binaries.length)} of ${number(index.compared)} binaries`);
  const noise = Object.entries(index.noise).map(([name, count]) => `${name} ${number(count)}`).join(', ');
  if (noise) about('not counted', noise);
  if (index.not_compared.length) about('not looked at', index.not_compared.join('; '));
  if (index.left_out) about('left out', `the code of ${number(index.left_out)} functions, the smallest ones: the page would be too large`);
  byId('about-page').textContent = `made by klp-diff ${index.version}`;

  const state = new URLSearchParams(location.hash.slice(1));
  const off = (state.get('not') || '').split(',');
  for (const [name, kind] of shownKinds) {
    if (!kind.count) continue;
    kind.on = !off.includes(name);
    const box = make('input', {type: 'checkbox', checked: kind.on, value: name});
    box.addEventListener('change', () => { kind.on = box.checked; update(); });
    byId('kinds').append(make('label', {className: 'chip'}, box, `${kind.label || name} ${number(kind.count)}`));
  }
  for (const binary of [...index.binaries, ...others]) {
    const count = binary.list ? binary.list.length : weight(binary) + (binary.only ? 1 : 0);
    module.append(make('option', {value: binary.name, textContent: `${binary.name} (${number(count)})`}));
  }
  search.value = state.get('q') || '';
  module.value = state.get('in') || '';
  if (module.selectedIndex < 0) module.value = '';

  search.addEventListener('input', update);
  module.addEventListener('change', update);
  search.form.addEventListener('submit', (event) => event.preventDefault());
  more.addEventListener('click', () => {
    const first = made;
    append(STEP * 2);
    const next = list.querySelectorAll('.entry')[first]?.querySelector('summary');
    if (next) next.focus();
  });
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const typing = event.target === search || event.target === module;
    if (event.key === 'Escape' && event.target === search) {
      search.value = '';
      update();
    } else if (event.key === '/' && !typing) {
      event.preventDefault();
      search.focus();
    } else if ((event.key === 'j' || event.key === 'k') && !typing) {
      const all = [...list.querySelectorAll('summary')];
      const at = all.indexOf(document.activeElement);
      const next = all[Math.max(0, event.key === 'j' ? at + 1 : at - 1)];
      if (next) next.focus();
    }
  });
  update();
})();
