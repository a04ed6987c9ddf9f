// What k6 has and @types/k6 does not say: a console whose lines go to k6's log.
declare const console: { error(message: string): void; log(message: string): void }
