// SPDX-License-Identifier: MIT
#pragma once

namespace kvctl {

inline constexpr const char* kHelp = R"(kvctl looks at a key-value store and works on it, whatever its types.

  kvctl get PATH KEY               print the JSON of a value
  kvctl put PATH KEY [VALUE]       store VALUE, which is JSON; without it, or for -, standard input
  kvctl rm PATH KEY...             remove entries: all of those, or none if one is not there
  kvctl ls PATH                    list the keys; --prefix P, --values
  kvctl watch PATH                 print changes as they happen, of etcd; --prefix P
  kvctl stat PATH                  how many entries and journaled changes, how large, who has it open
  kvctl verify PATH                read everything, and say what was checked or where the damage is
  kvctl compact PATH               compact the journal, or give back the room of what was removed
  kvctl export PATH [FILE]         the entries as a JSON object, one a line
  kvctl import PATH [FILE]         take the entries of a JSON object; --replace removes all others
  kvctl migrate FROM TO            copy everything to another store, of another kind perhaps
  kvctl repair PATH NEW            write what can be saved of a damaged store into a new file

PATH is a JSON file, a JSON file with a journal (PATH.journal beside it) or an SQLite database. Which of them
it is, its files say. --storage json|journal|sqlite says it instead; for migrate also --to-storage. A store
that put, import or migrate makes is an SQLite database if its name ends in .db, .sqlite or .sqlite3, else a
JSON file. With --integer-keys a new database keeps its keys as INTEGER; one that has such keys keeps them so.

PATH may also name servers: redis://HOST:PORT/PREFIX (rediss:// with TLS) of Redis Cluster or a single Redis, or
etcd://HOST:PORT/PREFIX (etcds:// with TLS); several hosts stand with commas between them, a user before the
first: redis://ann@a:6379,b:6379/users:. KVCTL_PASSWORD in the environment is the user's password, KVCTL_CA_FILE
the file of the authorities that vouch for the servers. There get, put, rm, ls, export, import, migrate and watch
work. There import, migrate, and rm of more than 100 keys are not one step, nor is rm on Redis Cluster.

get, ls, stat, verify and export take no lock and make no file: they work while another process has the store
open, and show it as of one moment. The others need it for themselves, and change all that they are to change
or nothing. Root writes as the user who owns the folder, and who could exchange the names in it meanwhile.
Values are kept byte by byte: 1.0 stays 1.0, and a number of thirty digits keeps them.

A string is a JSON value only with its quotes, which the shell takes away unless there are others around them.
A key or value that begins with two dashes comes after --, as does -h: kvctl get users.json -- --odd

Examples:
  kvctl put users.json ada '{"city": "London"}'
  kvctl get users.json ada | jq -r .city
  date +%s | kvctl put users.json last-run
  kvctl put --create users.json ada '"a string"'     refused, since the key exists
  kvctl ls users.json --prefix user: | head
  kvctl stat --json users.json | jq .entries
  kvctl export users.json | kvctl import backup.json --replace
  kvctl migrate users.json users.db && sqlite3 users.db 'select key from entries'
  kvctl verify users.json || kvctl repair users.json mended.json

Exit status:
  0  done, also where the reader of the output has gone
  1  a key is not there (get, rm, put --update); something is there already (put --create, a target that is
     not empty, a file that is to be new)
  2  the command line, a key or a value is not usable
  3  damaged: the store, or the input of import. repair: something was lost; what it saved is in NEW
  4  another process has the store open, or changed a database meanwhile: try again
  5  anything else: no such file, no permission, a full disk

`kvctl COMMAND --help` or `kvctl help COMMAND` tells the options of a command, `kvctl --version` the version.
)";

}  // namespace kvctl
