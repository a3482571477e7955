/* The report's template, style and scripts, as read-only bytes. */
    .section .rodata
    .macro file name path
    .global distillery_report_\name\()_begin
    .global distillery_report_\name\()_end
distillery_report_\name\()_begin:
    .incbin "\path"
distillery_report_\name\()_end:
    .byte 0
    .endm
    file html "cli/report/report.html"
    file css "cli/report/report.css"
    file charts "cli/report/charts.js"
    file panels "cli/report/panels.js"
    .section .note.GNU-stack,"",%progbits
