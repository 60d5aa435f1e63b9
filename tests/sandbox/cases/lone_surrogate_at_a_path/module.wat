;; Returns text with half of a surrogate pair in it.
(module
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
  (data (i32.const 1016) "\02\00\00\00\36\00\00\00\7b\00\22\00\69\00\74\00\65\00\6d\00\73\00\22\00\3a\00\5b\00\31\00\2c\00\7b\00\22\00\6e\00\61\00\6d\00\65\00\22\00\3a\00\22\00\61\00\3d\d8\22\00\7d\00\5d\00\7d\00")
  (func (export "handle") (param $input i32) (result i32)
    (i32.const 1024))
)
