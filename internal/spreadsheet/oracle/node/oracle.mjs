// Reads questions from standard input, one JSON value a line, and answers each.
//   {"cases":true}                        the inputs of Papa Parse's own tests
//   {"parse":"text","delimiter":","}      the rows that Papa Parse finds
//   {"encode":"text","as":"gb18030"}      the text in an encoding, in base64
import fs from "node:fs";
import readline from "node:readline";
import vm from "node:vm";
import iconv from "iconv-lite";
import Papa from "papaparse";

// The tests of Papa Parse are a script that fills arrays and then runs them with
// mocha; only the arrays are wanted.
function cases() {
  const sandbox = {
    chai: { assert: {} }, Papa, describe: Object.assign(() => {}, { skip() {} }), setTimeout, console,
    document: { getElementById: () => ({ src: "" }) },
  };
  vm.createContext(sandbox);
  const url = new URL("node_modules/papaparse/tests/test-cases.js", import.meta.url);
  vm.runInContext(fs.readFileSync(url, "utf8"), sandbox);
  const arrays = [sandbox.CORE_PARSER_TESTS, sandbox.PARSE_TESTS];
  return arrays.flat().filter((c) => typeof c.input === "string").map((c) => c.input);
}

for await (const line of readline.createInterface({ input: process.stdin })) {
  const q = JSON.parse(line);
  let answer;
  if (q.cases) {
    answer = cases();
  } else if (q.parse !== undefined) {
    const r = Papa.parse(q.parse, { delimiter: q.delimiter });
    answer = { rows: r.data, errors: r.errors.filter((e) => e.type === "Quotes").length };
  } else {
    answer = iconv.encode(q.encode, q.as).toString("base64");
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}
