// An HTTP/2 client by hand, for what no library lets a client do: to give no room for answers, to
// begin a call and say no more. See tests/chaos/http2_frames.py for the same in Python.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "tests/common/rpc/client_socket.h"

namespace distillery {

class Http2Client {
 public:
  enum Kind : uint8_t {
    kData = 0,
    kHeaders = 1,
    kReset = 3,
    kSettings = 4,
    kWindowUpdate = 8,
    kEnd = 255
  };
  static constexpr uint8_t kEndStream = 1;
  static constexpr uint8_t kEndHeaders = 4;
  struct Frame {
    uint8_t kind = 0;
    uint8_t flags = 0;
    uint32_t stream = 0;
    std::string payload;
  };

  // `window`: bytes of each answer that the server may send, SETTINGS_INITIAL_WINDOW_SIZE.
  Http2Client(const std::string& address, uint32_t window) : socket_(ConnectTo(address)) {
    Send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    Send(kSettings, 0, 0, std::string("\0\4", 2) + Number(window, 4));
  }

  // Begins a call of `path`, such as "/package.Service/Method", with a message if there is one;
  // `last`: and no more. Returns the stream's number.
  uint32_t Call(const std::string& path, const std::string* message, bool last = true) {
    const uint32_t stream = next_;
    next_ += 2;
    // HPACK without tables: POST, http, the path, authority, content-type, te.
    const std::string block = "\x83\x86\x04" + Text(path) + "\x01" + Text("localhost") +
                              "\x0f\x10" + Text("application/grpc") + std::string(1, '\0') +
                              Text("te") + Text("trailers");
    Send(kHeaders, kEndHeaders, stream, block);
    if (message == nullptr) return stream;
    Send(kData, last ? kEndStream : 0, stream,
         std::string(1, '\0') + Number(static_cast<uint32_t>(message->size()), 4) + *message);
    return stream;
  }

  // Waits for the next frame; kind kEnd: the connection has ended.
  Frame Next() {
    const std::string head = Exactly(9);
    if (head.size() < 9) return {kEnd, 0, 0, ""};
    Frame frame;
    frame.kind = static_cast<uint8_t>(head[3]);
    frame.flags = static_cast<uint8_t>(head[4]);
    frame.stream = Value(head.substr(5));
    frame.payload = Exactly(Value(head.substr(0, 3)));
    return frame;
  }
  // The same for a frame of that stream, other than one that gives it room.
  Frame NextOf(uint32_t stream) {
    Frame frame;
    do {
      frame = Next();
    } while (frame.kind != kEnd && (frame.stream != stream || frame.kind == kWindowUpdate));
    return frame;
  }

 private:
  static std::string Number(uint32_t value, int bytes) {
    std::string result;
    for (int i = bytes - 1; i >= 0; --i) result += static_cast<char>(value >> (8 * i) & 0xFF);
    return result;
  }
  static uint32_t Value(absl::string_view bytes) {
    uint32_t value = 0;
    for (const char byte : bytes) value = value << 8 | static_cast<uint8_t>(byte);
    return value;
  }
  static std::string Text(const std::string& text) {
    EXPECT_LT(text.size(), 127U);
    return static_cast<char>(text.size()) + text;
  }
  void Send(const std::string& bytes) {
    EXPECT_EQ(send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  void Send(uint8_t kind, uint8_t flags, uint32_t stream, const std::string& payload) {
    Send(Number(static_cast<uint32_t>(payload.size()), 3) + static_cast<char>(kind) +
         static_cast<char>(flags) + Number(stream, 4) + payload);
  }
  std::string Exactly(size_t size) {
    std::string bytes(size, '\0');
    const ssize_t got = recv(socket_.get(), bytes.data(), size, MSG_WAITALL);
    bytes.resize(got < 0 ? 0 : static_cast<size_t>(got));
    return bytes;
  }

  const Descriptor socket_;
  uint32_t next_ = 1;
};

}  // namespace distillery
