#!/usr/bin/env node
// Copies what Go needs of a compiled contract out of forge's output:
//
//   node toolchain/export.js LogAnchor <folder>
//
// <Name>.abi and <Name>.bin are abigen's inputs. <Name>.runtime.json holds the code that a deployment leaves on the chain, with
// the places where the constructor writes immutables, by name: enough to tell whether an address holds exactly this contract.
"use strict";

const fs = require("node:fs");
const path = require("node:path");

const [name, folder] = process.argv.slice(2);
if (!name || !folder) {
  process.stderr.write("usage: export.js <contract> <folder>\n");
  process.exit(2);
}

const artifact = JSON.parse(fs.readFileSync(path.join("out", `${name}.sol`, `${name}.json`), "utf8"));
const { bytecode, deployedBytecode } = artifact;
if (Object.keys(bytecode.linkReferences).length > 0) {
  throw new Error(`${name} needs libraries to be linked`);
}

// The compiler names immutables by AST id.
const names = new Map();
for (const node of artifact.ast.nodes) {
  for (const member of node.nodes ?? []) {
    if (member.nodeType === "VariableDeclaration" && member.mutability === "immutable") {
      names.set(String(member.id), member.name.replace(/^_/, ""));
    }
  }
}
const immutables = {};
for (const [id, places] of Object.entries(deployedBytecode.immutableReferences)) {
  if (!names.has(id)) throw new Error(`immutable ${id} of ${name} is not declared in its file`);
  immutables[names.get(id)] = places.map(({ start }) => start).sort((a, b) => a - b);
}

const write = (suffix, text) => fs.writeFileSync(path.join(folder, name + suffix), text + "\n");
write(".abi", "[\n" + artifact.abi.map((entry) => "  " + JSON.stringify(entry)).join(",\n") + "\n]");
write(".bin", bytecode.object.replace(/^0x/, ""));
write(".runtime.json", JSON.stringify({ immutables, object: deployedBytecode.object.replace(/^0x/, "") }, null, 2));
