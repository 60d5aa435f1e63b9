;; __new gives the platform a place outside the memory for random values.
(module
  (import "env" "crypto.getRandomValuesN" (func $random (param i32) (result i32)))
  (memory (export "memory") 1)
  (global $top (mut i32) (i32.const 4096))
  (func (export "__new") (param $size i32) (param $class i32) (result i32)
    (local $string i32)
    (if (i32.eq (local.get $class) (i32.const 1)) (then (return (i32.const 65530))))
    (local.set $string (i32.add (global.get $top) (i32.const 8)))
    (i32.store (i32.sub (local.get $string) (i32.const 8)) (local.get $class))
    (i32.store (i32.sub (local.get $string) (i32.const 4)) (local.get $size))
    (global.set $top
      (i32.and (i32.add (i32.add (local.get $string) (local.get $size)) (i32.const 7)) (i32.const -8)))
    (local.get $string))
  (func (export "__pin") (param i32) (result i32) (local.get 0))
  (func (export "handle") (param $input i32) (result i32)
    (drop (call $random (i32.const 16)))
    (local.get $input))
)
