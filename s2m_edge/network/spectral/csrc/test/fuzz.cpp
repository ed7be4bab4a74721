// Runs the kernel over random shapes and compares with the defining sum in double, between guard values. Meant to be
// built with the address and undefined-behaviour sanitizers.   fuzz ROUNDS SEED
#include <atomic>
#include <cmath>
#include <complex>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <random>
#include <thread>
#include <vector>

#include "spectral_filter.hpp"

namespace {

std::atomic<long> allocations{0};
constexpr long kUnlimited = -1;
thread_local long allowed = kUnlimited;  // allocations of this thread until its memory is full

using s2m_edge::SerialFor;
using s2m_edge::SpectralShape;
using Complex = std::complex<double>;

constexpr unsigned char kGuard = 0xa5;
constexpr std::size_t kMargin = 64;

// exp(sign * 2 pi i f n / length) for n = 0 .. length - 1.
std::vector<Complex> wave(long frequency, std::size_t length, double sign) {
  std::vector<Complex> values(length);
  for (std::size_t n = 0; n < length; ++n) {
    const long turn = (frequency * static_cast<long>(n)) % static_cast<long>(length);
    values[n] = std::polar(1.0, sign * 6.283185307179586476925 * static_cast<double>(turn) / static_cast<double>(length));
  }
  return values;
}

// The definition: every kept frequency's coefficient, times its gain, summed up again; the real part.
std::vector<double> defined(const float* x, const float* weight, std::size_t h, std::size_t w, std::size_t k1,
                            std::size_t k2) {
  std::vector<double> y(h * w, 0.0);
  const auto exists = [](long frequency, std::size_t length) {
    const long n = static_cast<long>(length);
    return frequency >= -(n / 2) && frequency < n - n / 2;
  };
  for (std::size_t a = 0; a < k1; ++a) {
    const long f1 = static_cast<long>(a) - static_cast<long>(k1 / 2);
    if (!exists(f1, h)) continue;
    const auto down = wave(f1, h, -1.0);
    std::vector<Complex> column(w);
    for (std::size_t i = 0; i < h; ++i)
      for (std::size_t j = 0; j < w; ++j) column[j] += down[i] * static_cast<double>(x[i * w + j]);
    for (std::size_t b = 0; b < k2; ++b) {
      const long f2 = static_cast<long>(b) - static_cast<long>(k2 / 2);
      if (!exists(f2, w)) continue;
      const auto across = wave(f2, w, -1.0);
      Complex coefficient = 0.0;
      for (std::size_t j = 0; j < w; ++j) coefficient += across[j] * column[j];
      coefficient *= static_cast<double>(weight[a * k2 + b]) / static_cast<double>(h * w);
      for (std::size_t i = 0; i < h; ++i)
        for (std::size_t j = 0; j < w; ++j)
          y[i * w + j] += (coefficient * std::conj(down[i]) * std::conj(across[j])).real();
    }
  }
  return y;
}

template <class Storage>
bool guarded(const std::vector<Storage>& buffer) {
  const std::size_t margin = kMargin * sizeof(Storage), size = buffer.size() * sizeof(Storage);
  const auto* bytes = reinterpret_cast<const unsigned char*>(buffer.data());
  for (std::size_t i = 0; i < margin; ++i)
    if (bytes[i] != kGuard || bytes[size - 1 - i] != kGuard) return false;
  return true;
}

// One call's tensors, between guard bytes. Storage: float or Half, which is rounded once more, at the end.
template <class Storage>
struct Case {
  SpectralShape shape;
  std::vector<float> weight;
  std::vector<Storage> x, y;

  Case(const SpectralShape& given, std::mt19937& random) : shape(given) {
    std::normal_distribution<float> normal;
    const std::size_t values = shape.batch * shape.channels * shape.height * shape.width;
    weight.resize(shape.channels * shape.filter_rows * shape.filter_columns);
    for (float& value : weight) value = normal(random);
    x.resize(values + 2 * kMargin);
    std::memset(x.data(), kGuard, x.size() * sizeof(Storage));
    y = x;
    for (std::size_t i = 0; i < values; ++i) s2m_edge::convert(normal(random), x[kMargin + i]);
  }

  void run() { s2m_edge::spectral_filter(x.data() + kMargin, weight.data(), y.data() + kMargin, shape, SerialFor{}); }

  // In place gives the same bits.
  bool is_right_in_place() const {
    auto both = x;
    s2m_edge::spectral_filter(both.data() + kMargin, weight.data(), both.data() + kMargin, shape, SerialFor{});
    return std::memcmp(both.data(), y.data(), y.size() * sizeof(Storage)) == 0;
  }

  // The same values, rounded to float16 and stored so: what comes out is the float32 result of those, rounded once.
  bool half_is_right() const {
    using s2m_edge::Half;
    const std::size_t values = x.size() - 2 * kMargin;
    std::vector<float> rounded(values), expected(values);
    std::vector<Half> in(values), out(values);
    for (std::size_t i = 0; i < values; ++i) {
      in[i] = s2m_edge::to_half(x[kMargin + i]);
      rounded[i] = s2m_edge::to_float(in[i]);
    }
    s2m_edge::spectral_filter(rounded.data(), weight.data(), expected.data(), shape, SerialFor{});
    s2m_edge::spectral_filter(in.data(), weight.data(), out.data(), shape, SerialFor{});
    for (std::size_t i = 0; i < values; ++i)
      if (out[i].bits != s2m_edge::to_half(expected[i]).bits) return false;
    return true;
  }

  bool is_right() const {
    const std::size_t plane = shape.height * shape.width;
    const double relative = 2e-5 + (sizeof(Storage) == sizeof(float) ? 0.0 : 1.0 / 2048);
    std::vector<float> input(plane);
    for (std::size_t index = 0; index < shape.batch * shape.channels; ++index) {
      const float* filter = weight.data() + index % shape.channels * shape.filter_rows * shape.filter_columns;
      const Storage* in = x.data() + kMargin + index * plane;
      const Storage* out = y.data() + kMargin + index * plane;
      for (std::size_t i = 0; i < plane; ++i) input[i] = s2m_edge::to_float(in[i]);
      const auto expected =
          defined(input.data(), filter, shape.height, shape.width, shape.filter_rows, shape.filter_columns);
      for (std::size_t i = 0; i < plane; ++i)
        if (!(std::abs(expected[i] - s2m_edge::to_float(out[i])) <= 2e-5 + relative * std::abs(expected[i])))
          return false;
    }
    return guarded(x) && guarded(y);
  }
};

void report(const char* what, const SpectralShape& s) {
  std::fprintf(stderr, "%s: %zu x %zu x %zu x %zu, filter %zu x %zu\n", what, s.batch, s.channels, s.height, s.width,
               s.filter_rows, s.filter_columns);
}

// Empty where one shape went right, else what went wrong.
template <class Storage>
const char* try_shape(const SpectralShape& shape, std::mt19937& random) {
  Case<Storage> one(shape, random);
  one.run();
  if (!one.is_right()) return "wrong";
  if (!one.is_right_in_place()) return "wrong in place";
  const long before = allocations.load();
  one.run();
  return allocations.load() == before ? nullptr : "allocates again";
}

// Wherever memory ends, for plans or for scratch, a call says so, and a later one works. On a thread without scratch.
bool recovers_from_full_memory() {
  std::mt19937 random(1);
  Case<float> one({1, 1, 45, 46, 9, 8}, random);  // larger than any before, so that no plan is there yet
  long failures = 0;
  std::thread([&one, &failures] {
    for (bool failed = true; failed; failures += failed) {
      allowed = failures;
      failed = false;
      try {
        one.run();
      } catch (const std::bad_alloc&) {
        failed = true;
      }
      allowed = kUnlimited;
    }
  }).join();
  return failures > 2 && one.is_right();
}

}  // namespace

void* operator new(std::size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (allowed == 0) throw std::bad_alloc();
  if (allowed > 0) --allowed;
  if (void* memory = std::malloc(size ? size : 1)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

int main(int count, char** words) {
  const long rounds = count > 1 ? std::atol(words[1]) : 200;
  std::mt19937 random(count > 2 ? static_cast<unsigned>(std::atol(words[2])) : 0u);
  const auto up_to = [&random](std::size_t most) { return 1 + random() % most; };
  for (long round = 0; round < rounds; ++round) {
    const SpectralShape shape{up_to(2), up_to(3), up_to(40), up_to(40), up_to(36), up_to(36)};
    const char* wrong = round % 2 ? try_shape<s2m_edge::Half>(shape, random) : try_shape<float>(shape, random);
    if (wrong) return report(wrong, shape), 1;
  }
  if (!recovers_from_full_memory()) return std::fprintf(stderr, "wrong after memory was full\n"), 1;
  // Many threads, each with shapes of its own and all with one that they share.
  std::atomic<bool> wrong{false};
  std::vector<std::thread> threads;
  for (unsigned seed = 0; seed < 4; ++seed)
    threads.emplace_back([seed, &wrong] {
      std::mt19937 own(seed);
      for (int turn = 0; turn < 8; ++turn)
        for (const auto& shape : {SpectralShape{1, 2, 24, 24, 16, 16}, SpectralShape{1, 1, 9 + seed, 17, 12, 11}}) {
          Case<float> one(shape, own);
          one.run();
          if (!one.is_right()) wrong = true;
        }
    });
  for (auto& thread : threads) thread.join();
  if (wrong) return std::fprintf(stderr, "wrong among threads\n"), 1;
  std::printf("%ld shapes right, none allocates twice\n", rounds);
  return 0;
}
