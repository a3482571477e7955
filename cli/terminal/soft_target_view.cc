#include "cli/terminal/soft_target_view.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "cli/terminal/terminal_text.h"
#include "common/base/terminal.h"
#include "nlohmann/json.hpp"

namespace distillery {
namespace {

// "T = 3", or "hard label".
struct Panel {
  std::string title;
  std::vector<float> values;
};

std::vector<Panel> PanelsOf(const SoftTargetView& view) {
  std::vector<Panel> panels;
  if (view.label.has_value()) {
    Panel hard{"hard label", std::vector<float>(view.class_names.size(), 0.0F)};
    hard.values[static_cast<size_t>(*view.label)] = 1;
    panels.push_back(std::move(hard));
  }
  if (!view.right.empty()) panels.push_back({"hard label", view.right});
  for (const SoftTargetView::Row& row : view.rows) {
    panels.push_back({absl::StrCat("T = ", row.temperature), row.probabilities});
  }
  return panels;
}

// Eighths of a character, so that small probabilities are seen.
std::string Bar(double share, size_t width) {
  static constexpr const char* kEighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const auto eighths = static_cast<size_t>(std::lround(share * static_cast<double>(width) * 8));
  std::string bar;
  for (size_t i = 0; i < eighths / 8; ++i) bar += "█";
  return bar + kEighths[eighths % 8];
}

std::string Escape(const std::string& text) {
  return absl::StrReplaceAll(text,
                             {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"\"", "&quot;"}});
}

// 0.0312 -> "3.12 %"; tiny values keep two digits: "2.1e-07 %".
std::string Percent(float value) {
  const double percent = 100.0 * value;
  return percent != 0 && percent < 0.005 ? absl::StrFormat("%.1e %%", percent)
                                         : absl::StrFormat("%.2f %%", percent);
}

}  // namespace

std::string FormatBars(const SoftTargetView& view, size_t bar_width) {
  size_t name_width = 0;
  for (const std::string& name : view.class_names) name_width = std::max(name_width, name.size());
  std::string text = view.sample + "\n";
  for (const Panel& panel : PanelsOf(view)) {
    absl::StrAppend(&text, "\n", panel.title, "\n");
    for (size_t i = 0; i < panel.values.size(); ++i) {
      absl::StrAppendFormat(&text, "  %-*s %11s  %s\n", static_cast<int>(name_width),
                            view.class_names[i], Percent(panel.values[i]),
                            Bar(panel.values[i], bar_width));
    }
  }
  return text;
}

std::string FormatSvg(const SoftTargetView& view) {
  constexpr int kPanelWidth = 250;
  constexpr int kRow = 20;
  constexpr int kTop = 70;
  constexpr int kNameWidth = 56;
  constexpr int kBarWidth = 110;
  constexpr size_t kLongestName = 8;
  const std::vector<Panel> panels = PanelsOf(view);
  const int width = 20 + kPanelWidth * static_cast<int>(panels.size());
  const int height = kTop + kRow * static_cast<int>(view.class_names.size()) + 20;
  std::string svg = absl::StrFormat(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" "
      "font-family=\"system-ui, sans-serif\" font-size=\"12\">\n"
      "<rect width=\"%d\" height=\"%d\" fill=\"#ffffff\"/>\n"
      "<text x=\"20\" y=\"26\" font-size=\"15\" font-weight=\"600\" fill=\"#1f2933\">%s</text>\n",
      width, height, width, height, width, height, Escape("soft targets of " + view.sample));
  for (size_t p = 0; p < panels.size(); ++p) {
    const int left = 20 + kPanelWidth * static_cast<int>(p);
    const bool hard = panels[p].title == "hard label";
    absl::StrAppendFormat(
        &svg, "<text x=\"%d\" y=\"54\" font-weight=\"600\" fill=\"#52606d\">%s</text>\n", left,
        panels[p].title);
    for (size_t i = 0; i < panels[p].values.size(); ++i) {
      const float value = panels[p].values[i];
      const int y = kTop + kRow * static_cast<int>(i);
      std::string name = view.class_names[i];
      name = Fit(name, kLongestName);
      absl::StrAppendFormat(&svg,
                            "<text x=\"%d\" y=\"%d\" text-anchor=\"end\" fill=\"#1f2933\">%s</text>"
                            "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"14\" fill=\"#eef2f6\"/>"
                            "<rect x=\"%d\" y=\"%d\" width=\"%.2f\" height=\"14\" fill=\"%s\"/>"
                            "<text x=\"%d\" y=\"%d\" fill=\"#52606d\">%s</text>\n",
                            left + kNameWidth, y + 11, Escape(name), left + kNameWidth + 8, y,
                            kBarWidth, left + kNameWidth + 8, y,
                            kBarWidth * static_cast<double>(value), hard ? "#9aa5b1" : "#2f6fde",
                            left + kNameWidth + kBarWidth + 14, y + 11, Percent(value));
    }
  }
  return svg + "</svg>\n";
}

std::string ViewToJson(const SoftTargetView& view) {
  nlohmann::ordered_json json;
  json["sample"] = view.sample;
  json["class_names"] = view.class_names;
  if (view.label.has_value()) json["label"] = *view.label;
  for (const SoftTargetView::Row& row : view.rows) {
    json["soft_targets"].push_back(
        {{"temperature", row.temperature}, {"probabilities", row.probabilities}});
  }
  return JsonText(json, 2) + "\n";
}

}  // namespace distillery
