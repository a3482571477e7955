/* The built-in digits data set, compressed, as read-only bytes. */
    .section .rodata
    .global distillery_digits_begin
    .global distillery_digits_end
    .balign 16
distillery_digits_begin:
    .incbin "common/data/digits/digits.csv.gz"
distillery_digits_end:
    .byte 0
    .section .note.GNU-stack,"",%progbits
