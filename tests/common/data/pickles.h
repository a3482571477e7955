// Pickles as Python 2 writes them, such as those of CIFAR.
#pragma once

#include <string>
#include <vector>

namespace distillery {

inline std::string LittleEndian(size_t value, int bytes) {
  std::string result;
  for (int i = 0; i < bytes; ++i) result += static_cast<char>(value >> (8 * i));
  return result;
}
inline std::string ShortString(const std::string& text) {
  return "U" + LittleEndian(text.size(), 1) + text;
}
inline std::string SmallNumber(size_t value) { return "M" + LittleEndian(value, 2); }

// An array of bytes [elements.size() / columns, columns], as numpy.ndarray.__reduce__ makes it.
inline std::string PickledArray(const std::string& elements, size_t columns) {
  return std::string("cnumpy.core.multiarray\n_reconstruct\nq\x05") + "cnumpy\nndarray\n" +
         std::string(
             "K\0\x85U\x01"
             "b\x87R",
             8) +
         "(K\x01" + SmallNumber(elements.size() / columns) + SmallNumber(columns) +
         "\x86"
         "cnumpy\ndtype\n" +
         ShortString("u1") + std::string("K\0K\x01\x87R", 6) + "(K\x03" + ShortString("|") + "NNN" +
         "J\xff\xff\xff\xffJ\xff\xff\xff\xff" + std::string("K\0tb", 4) + "\x89" + "T" +
         LittleEndian(elements.size(), 4) + elements + "tb";
}

// {"data": array, KEY: list}
inline std::string PickleOfTwo(const std::string& labels_key, const std::vector<int>& labels,
                               const std::string& elements, size_t columns) {
  std::string list = "](";
  for (const int label : labels) list += "K" + LittleEndian(static_cast<size_t>(label), 1);
  return std::string("\x80\x02}q\x01(") + ShortString(labels_key) + "q\x02" + list + "e" +
         ShortString("data") + "q\x03" + PickledArray(elements, columns) + "u.";
}

// {KEY: list of texts}
inline std::string PickleOfNames(const std::string& key, const std::vector<std::string>& names) {
  std::string list = "](";
  for (const std::string& name : names) list += ShortString(name);
  return std::string("\x80\x02}(") + ShortString(key) + list + "eu.";
}

}  // namespace distillery
