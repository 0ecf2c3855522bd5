// The compiler's command line as solc itself has it, in front of solc-js: `--version`, and `--standard-json`
// with the input on stdin. Other options (search paths) are accepted and ignored, since every source comes
// inside the input. First argument: the node_modules folder that holds solc-js. `--soljson=FILE` puts another
// version of the compiler in its place.
"use strict";
const fs = require("fs");
const path = require("path");

const [modules, ...options] = process.argv.slice(2);
const other = options.find((option) => option.startsWith("--soljson="));
// Loading a compiler built by Emscripten replaces node's handlers, which would turn our errors into silence.
const listeners = process.listeners("uncaughtException");
const solc = other
  ? require(path.join(modules, "solc", "wrapper"))(require(path.resolve(other.slice("--soljson=".length))))
  : require(path.join(modules, "solc"));
process.removeAllListeners("uncaughtException");
listeners.forEach((listener) => process.on("uncaughtException", listener));

if (options.includes("--version")) {
  fs.writeSync(1, `solc, the solidity compiler commandline interface\nVersion: ${solc.version()}\n`);
} else if (options.includes("--standard-json")) {
  process.stdout.write(solc.compile(fs.readFileSync(0, "utf8")));
} else {
  fs.writeSync(2, `Only --version and --standard-json are known, not: ${options.join(" ")}\n`);
  process.exitCode = 1;
}
