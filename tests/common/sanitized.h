// Whether this is a build under AddressSanitizer, which keeps freed memory back and is ten times
// slower.
#pragma once

#ifndef __has_feature  // clang's
#define __has_feature(feature) 0
#endif

namespace distillery {

#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
inline constexpr bool kAddressSanitizer = true;
#else
inline constexpr bool kAddressSanitizer = false;
#endif

}  // namespace distillery
