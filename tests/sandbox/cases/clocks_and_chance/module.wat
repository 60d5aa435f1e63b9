;; Date.now, performance.now and seed give numbers; the answer is whether they are plausible.
(module
  (import "env" "Date.now" (func $now (result f64)))
  (import "env" "performance.now" (func $elapsed (result f64)))
  (import "env" "seed" (func $seed (result f64)))
  (memory (export "memory") 1)
  (global $top (mut i32) (i32.const 4096))
  (func (export "__new") (param $size i32) (param $class i32) (result i32)
    (local $string i32)
    (local.set $string (i32.add (global.get $top) (i32.const 8)))
    (i32.store (i32.sub (local.get $string) (i32.const 8)) (local.get $class))
    (i32.store (i32.sub (local.get $string) (i32.const 4)) (local.get $size))
    (global.set $top
      (i32.and (i32.add (i32.add (local.get $string) (local.get $size)) (i32.const 7)) (i32.const -8)))
    (local.get $string))
  (func (export "__pin") (param i32) (result i32) (local.get 0))
  (data (i32.const 1016) "\02\00\00\00\08\00\00\00t\00r\00u\00e\00")
  (data (i32.const 1048) "\02\00\00\00\0a\00\00\00f\00a\00l\00s\00e\00")
  (func (export "handle") (param $input i32) (result i32)
    (select (i32.const 1024) (i32.const 1056)
      (i32.and
        (i32.and (f64.gt (call $now) (f64.const 1.7e12)) (f64.lt (call $elapsed) (f64.const 10000)))
        (f64.ne (call $seed) (call $seed)))))
)
