#!/bin/bash
# compare --html in a browser: the list, search, filters, keys, unfolded code, hostile names.
. "$(dirname "$0")/common.sh"
browser=$(command -v chromium || true)
[ -n "$browser" ] || { echo "not run: no chromium"; exit 77; }

unit() { # NAME SED-SCRIPT
  mkdir -p "$work/$1"
  sed -E "$2" >"$work/$1/unit.c" <<'C'
extern int printk(const char *text, ...);
int limit = 5;
int small(int x) { return x + 1; }
int large(int x) { while (x < 100) x = x * 3 + printk("</script><b id=hostile>%d", x); return x; }
int odd(int x) { return x * 7; }
C
  (cd "$work/$1" && gcc -c -O2 -g -fno-pic -mcmodel=kernel -ffunction-sections -fdata-sections unit.c &&
    objcopy --redefine-sym 'odd=<img src=x id=hostile>"&' unit.o && cp unit.o other.o)
}
unit before ''
unit after 's/x \+ 1/x + 2/; s/limit = 5/limit = 6/; s/x \* 3/x * 4/; s/x \* 7/x * 9/'
echo 'int fresh(int x) { return x; }' | gcc -x c -c -g -o "$work/after/fresh.o" -
cp "$work/before/unit.o" "$work/after/other.o"

say "the page: one file, nothing from elsewhere"
expect_status 1 "$klp_diff" compare "$work/before" "$work/after" --html "$work/page.html"
if grep -Eq '(src|href)="?(https?:)?//|@import|url\(' "$work/page.html"; then wrong "the page loads something"; fi
grep -q "default-src 'none'" "$work/page.html" || wrong "no policy"

# in_browser SCRIPT: runs it in a copy of the page; it awaits, and fails by throwing. What it logs, and errors of the page, are the output.
in_browser() {
  python3 - "$work/page.html" "$work/tested.html" "$1" <<'PYTHON'
import sys
page = open(sys.argv[1]).read()
errors = "<script>window.errors = []; addEventListener('error', (e) => errors.push(e.message));" \
    "addEventListener('securitypolicyviolation', (e) => errors.push(e.violatedDirective));</script>"
test = """<script>(async () => {
  const out = document.createElement('pre');
  const all = (selector) => [...document.querySelectorAll(selector)];
  const names = () => all('.entry .name').map((e) => e.textContent).join(' ');
  const check = (ok, what) => { if (!ok) throw new Error(what); };
  const until = async (done, what) => {
    for (let i = 0; i < 500 && !done(); i++) await new Promise((resolve) => setTimeout(resolve, 10));
    check(done(), what);
  };
  const type = (text) => { const s = document.getElementById('search'); s.value = text; s.dispatchEvent(new Event('input')); };
  const key = (name) => document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {key: name, bubbles: true, cancelable: true}));
  try { %s
    check(errors.length === 0, 'errors of the page: ' + errors); out.textContent = 'PASSED';
  } catch (error) { out.textContent = 'WRONG: ' + error.message + '; the list has: ' + names(); }
  document.body.append(out);
})();</script></body>""" % sys.argv[3]
head, tail = page.split("<style>", 1)
open(sys.argv[2], "w").write(head + errors + "<style>" + tail.replace("</body>", test))
PYTHON
  timeout 120 "$browser" --headless --no-sandbox --disable-gpu --user-data-dir="$work/browser" --virtual-time-budget=20000 \
    --dump-dom "file://$work/tested.html${2:-}" >"$work/dom" 2>"$work/browser.log" || true
  grep -Eo 'PASSED|WRONG: .*' "$work/dom" | tail -n 1 >"$output" || true
  last="the browser with: $1"
  expect_output '^PASSED'
}

say "everything is listed; search, filters of class and of binary"
in_browser "
  check(all('.entry').length === 5, 'five entries');
  check(!document.getElementById('hostile'), 'a name became markup');
  check(names().includes('<img src=x id=hostile>\"&'), 'the odd name as it is');
  type('LARGE'); check(names() === 'large', 'search'); check(document.getElementById('count').textContent === '1 of 5', 'count');
  type('small unit.o'); check(names() === 'small', 'two words, one of them the binary');
  type('nothing at all'); check(all('.entry').length === 0, 'no match');
  type('');
  all('input[value=\"functions changed\"]')[0].click();
  check(names() === 'limit fresh.o', 'without changed functions');
  check(location.hash.includes('not='), 'the address knows the filter');
  all('input[value=\"functions changed\"]')[0].click();
  const module = document.getElementById('module');
  module.value = 'fresh.o'; module.dispatchEvent(new Event('change'));
  check(names() === 'fresh.o', 'one binary');
"

say "a function is unfolded: both sides, with marks, lines and origin"
in_browser "
  type('large');
  const entry = all('.entry')[0];
  check(!entry.querySelector('table'), 'made when it is unfolded, not before');
  entry.querySelector('summary').click();
  await until(() => entry.querySelector('.body').dataset.done, 'unfolded');
  const rows = [...entry.querySelectorAll('tr.c')];
  check(rows.length >= 1, 'changed rows');
  check(rows.every((row) => row.children.length === 2 && row.querySelector('.a .sign').textContent === '−' &&
                            row.querySelector('.b mark')), 'both sides and marks');
  check(entry.textContent.includes('unit.c:4'), 'source lines');
  check(!document.getElementById('hostile'), 'a string became markup');
  check(entry.querySelectorAll('tr.e').length > 0, 'equal rows around');
"

say "by keyboard, and from an address"
in_browser "
  key('/'); check(document.activeElement.id === 'search', 'slash');
  key('j'); check(document.activeElement.id === 'search', 'letters are typed');
  type('small'); key('Escape'); check(all('.entry').length === 5, 'escape');
  document.activeElement.blur();
  key('j'); key('j'); check(document.activeElement === all('.entry summary')[1], 'j');
  key('k'); check(document.activeElement === all('.entry summary')[0], 'k');
  check(all('input, select, summary, button').every((e) => e.tabIndex >= 0), 'all can be reached');
"
in_browser "
  check(names() === 'limit', 'from the address');
  check(!all('input[value=\"functions changed\"]')[0].checked, 'the filter is shown');
" '#q=unit.o&not=functions+changed'

say "what filters leave has its own code; types are told"
sed -i '1istruct pair { int a; }; struct pair shared;' "$work/before/unit.c"
sed -i '1istruct pair { int a; long b; }; struct pair shared;' "$work/after/unit.c"
for side in before after; do
  (cd "$work/$side" && gcc -c -O2 -g -fno-pic -mcmodel=kernel -ffunction-sections -fdata-sections unit.c)
done
expect_status 1 "$klp_diff" compare "$work/before/unit.o" "$work/after/unit.o" --ignore variables --html "$work/page.html"
in_browser "
  check(names().includes('struct pair'), 'the type');
  check(!names().includes('limit'), 'variables are ignored');
  type('small');
  all('.entry summary')[0].click();
  await until(() => all('.entry .body')[0].dataset.done, 'unfolded');
  check(all('caption')[0].textContent.startsWith('small,'), 'the code is that of the function');
"

say "equal builds have a page, too"
expect_status 0 "$klp_diff" compare "$work/before" "$work/before" --html "$work/page.html"
in_browser "check(all('.entry').length === 0 && document.body.textContent.includes('nothing'), 'nothing differs');"
expect_nothing_left
