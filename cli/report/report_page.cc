#include "cli/report/report_page.h"

#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"

// From report_files.S.
extern "C" {
extern const char distillery_report_html_begin;
extern const char distillery_report_html_end;
extern const char distillery_report_css_begin;
extern const char distillery_report_css_end;
extern const char distillery_report_charts_begin;
extern const char distillery_report_charts_end;
extern const char distillery_report_panels_begin;
extern const char distillery_report_panels_end;
}

namespace distillery {
namespace {

absl::string_view Bytes(const char& begin, const char& end) {
  return {&begin, static_cast<size_t>(&end - &begin)};
}

// JSON in a script element ends at the first "</script" whatever it is part of, and "<!--" changes
// how the rest is read: no '<' is left, which stands in strings alone.
std::string ForScript(const std::string& json) {
  return absl::StrReplaceAll(json, {{"<", "\\u003c"}});
}

}  // namespace

std::string RenderReport(const Results& results) {
  const absl::string_view page = Bytes(distillery_report_html_begin, distillery_report_html_end);
  return absl::StrReplaceAll(
      page,
      {{"/*{{report.css}}*/", Bytes(distillery_report_css_begin, distillery_report_css_end)},
       {"/*{{charts.js}}*/", Bytes(distillery_report_charts_begin, distillery_report_charts_end)},
       {"/*{{panels.js}}*/", Bytes(distillery_report_panels_begin, distillery_report_panels_end)},
       {"{{results}}", ForScript(ResultsToJson(results))}});
}

}  // namespace distillery
