// Runs the block's and the norm's kernel over random shapes and compares with their definitions in double, between guard
// values. Meant to be built with the address and undefined-behaviour sanitizers.   fuzz ROUNDS SEED
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include "channel_norm.hpp"
#include "receptive_field.hpp"

namespace {

constexpr float kGuard = 12345.678f;
constexpr std::size_t kMargin = 40;

std::mt19937 generator;

std::vector<float> random_values(std::size_t count, float scale) {
  std::normal_distribution<float> normal(0.0f, scale);
  std::vector<float> values(count);
  for (float& value : values) value = normal(generator);
  return values;
}

// Ranges on as many threads as there are parts, so that bands meet at every place.
struct Parts {
  std::size_t parts;
  template <class Body>
  void operator()(std::size_t count, const Body& body) const {
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < parts; ++i)
      threads.emplace_back([&body, count, i, n = parts] {
        if (i * count / n < (i + 1) * count / n) body(i * count / n, (i + 1) * count / n);
      });
    for (std::thread& thread : threads) thread.join();
  }
};

double elu(double x) { return x > 0 ? x : std::expm1(x); }

// out x in convolution of kernel size `side` around each pixel; depthwise where in == 0.
std::vector<double> convolve(const std::vector<double>& x, std::size_t in, std::size_t out, std::size_t h, std::size_t w,
                             std::size_t side, const std::vector<float>& weight, const std::vector<float>& bias) {
  const long reach = static_cast<long>(side / 2), rows = static_cast<long>(h), columns = static_cast<long>(w);
  std::vector<double> y(out * h * w);
  for (std::size_t o = 0; o < out; ++o)
    for (long r = 0; r < rows; ++r)
      for (long c = 0; c < columns; ++c) {
        double sum = bias[o];
        for (std::size_t i = 0; i < std::max<std::size_t>(in, 1); ++i)
          for (long a = 0; a < static_cast<long>(side); ++a)
            for (long b = 0; b < static_cast<long>(side); ++b) {
              const long row = r + a - reach, column = c + b - reach;
              if (row < 0 || column < 0 || row >= rows || column >= columns) continue;
              const std::size_t plane = in == 0 ? o : i;
              const double pixel = x[(plane * h + static_cast<std::size_t>(row)) * w + static_cast<std::size_t>(column)];
              sum += pixel * weight[(in == 0 ? o : o * in + i) * side * side + static_cast<std::size_t>(a) * side +
                                    static_cast<std::size_t>(b)];
            }
        y[(o * h + static_cast<std::size_t>(r)) * w + static_cast<std::size_t>(c)] = sum;
      }
  return y;
}

struct Block {
  std::size_t channels, width, hidden;
  std::vector<float> expand, expand_bias, branch[3], branch_bias[3], fuse, fuse_bias, reduce, reduce_bias, widen,
      widen_bias, project, project_bias;

  Block(std::size_t c, std::size_t f, std::size_t s) : channels(c), width(f), hidden(s) {
    const auto share = [](std::size_t n) { return 1.0f / std::sqrt(static_cast<float>(n)); };
    expand = random_values(f * c, share(c)), expand_bias = random_values(f, 0.3f);
    for (std::size_t b = 0; b < 3; ++b) {
      const std::size_t side = 2 * b + 3;
      branch[b] = random_values(f * side * side, 1.0f / static_cast<float>(side)), branch_bias[b] = random_values(f, 0.3f);
    }
    fuse = random_values(f * 3 * f, share(3 * f)), fuse_bias = random_values(f, 0.3f);
    reduce = random_values(s * f, share(f)), reduce_bias = random_values(s, 0.3f);
    widen = random_values(f * s, share(s)), widen_bias = random_values(f, 0.3f);
    project = random_values(c * f, share(f)), project_bias = random_values(c, 0.3f);
  }

  std::vector<double> defined(const float* x, std::size_t h, std::size_t w) const {
    const std::vector<double> image(x, x + channels * h * w);
    std::vector<double> e = convolve(image, channels, width, h, w, 1, expand, expand_bias);
    for (double& value : e) value = elu(value);
    std::vector<double> joined;
    for (std::size_t b = 0; b < 3; ++b) {
      const std::vector<double> d = convolve(e, 0, width, h, w, 2 * b + 3, branch[b], branch_bias[b]);
      for (const double value : d) joined.push_back(elu(value));
    }
    std::vector<double> z = convolve(joined, 3 * width, width, h, w, 1, fuse, fuse_bias);
    for (double& value : z) value = elu(value);
    std::vector<double> mean(width, 0.0);
    for (std::size_t f = 0; f < width; ++f)
      for (std::size_t i = 0; i < h * w; ++i) mean[f] += z[f * h * w + i] / static_cast<double>(h * w);
    std::vector<double> few = convolve(mean, width, hidden, 1, 1, 1, reduce, reduce_bias);
    for (double& value : few) value = elu(value);
    const std::vector<double> gate = convolve(few, hidden, width, 1, 1, 1, widen, widen_bias);
    for (std::size_t f = 0; f < width; ++f)
      for (std::size_t i = 0; i < h * w; ++i) z[f * h * w + i] *= 1.0 / (1.0 + std::exp(-gate[f]));
    std::vector<double> y = convolve(z, width, channels, h, w, 1, project, project_bias);
    for (std::size_t i = 0; i < y.size(); ++i) y[i] += image[i];
    return y;
  }
};

std::vector<double> normed(const float* x, std::size_t channels, std::size_t plane, const std::vector<float>& weight,
                           const std::vector<float>& bias, float epsilon) {
  std::vector<double> y(channels * plane);
  for (std::size_t i = 0; i < plane; ++i) {
    double mean = 0, squares = 0;
    for (std::size_t c = 0; c < channels; ++c) mean += x[c * plane + i] / static_cast<double>(channels);
    for (std::size_t c = 0; c < channels; ++c) squares += std::pow(x[c * plane + i] - mean, 2);
    const double scale = 1.0 / std::sqrt(squares / static_cast<double>(channels) + epsilon);
    for (std::size_t c = 0; c < channels; ++c)
      y[c * plane + i] = (x[c * plane + i] - mean) * scale * weight[c] + bias[c];
  }
  return y;
}

bool agree(const char* what, const std::vector<float>& guarded, const std::vector<double>& expected, double limit) {
  double error = 0, largest = 1;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    error = std::max(error, std::fabs(guarded[kMargin + i] - expected[i]));
    largest = std::max(largest, std::fabs(expected[i]));
    if (std::isnan(guarded[kMargin + i])) error = HUGE_VAL;
  }
  bool whole = true;
  for (std::size_t i = 0; i < kMargin; ++i)
    whole = whole && guarded[i] == kGuard && guarded[kMargin + expected.size() + i] == kGuard;
  if (error <= limit * largest && whole) return true;
  std::fprintf(stderr, "%s: error %g, guards %s\n", what, error / largest, whole ? "whole" : "overwritten");
  return false;
}

}  // namespace

int main(int count, char** arguments) {
  const int rounds = count > 1 ? std::atoi(arguments[1]) : 20;
  generator.seed(count > 2 ? static_cast<unsigned>(std::atoi(arguments[2])) : 1u);
  const auto any = [](std::size_t least, std::size_t most) {
    return std::uniform_int_distribution<std::size_t>(least, most)(generator);
  };
  for (int round = 0; round < rounds; ++round) {
    const std::size_t channels = any(1, 7), width = channels * any(1, 6), hidden = any(1, 9);
    const std::size_t h = any(1, 45), w = any(1, round % 4 == 0 ? 150 : 40), batch = any(1, 2), plane = h * w;
    const Block made(channels, width, hidden);
    const s2m_edge::ReceptiveField block(
        {channels, width, hidden},
        {made.expand.data(), made.expand_bias.data(), {made.branch[0].data(), made.branch[1].data(), made.branch[2].data()},
         {made.branch_bias[0].data(), made.branch_bias[1].data(), made.branch_bias[2].data()}, made.fuse.data(),
         made.fuse_bias.data(), made.reduce.data(), made.reduce_bias.data(), made.widen.data(), made.widen_bias.data(),
         made.project.data(), made.project_bias.data()});
    const std::vector<float> x = random_values(batch * channels * plane, 1.0f);
    std::vector<float> y(x.size() + 2 * kMargin, kGuard);
    block.run(x.data(), y.data() + kMargin, batch, h, w, Parts{any(1, 4)});
    std::vector<double> expected;
    for (std::size_t item = 0; item < batch; ++item)
      for (const double value : made.defined(x.data() + item * channels * plane, h, w)) expected.push_back(value);
    if (!agree("block", y, expected, 3e-6)) return 1;

    const std::vector<float> weight = random_values(channels, 1.0f), bias = random_values(channels, 1.0f);
    std::fill(y.begin(), y.end(), kGuard);
    s2m_edge::channel_norm(x.data(), y.data() + kMargin, batch, channels, plane, weight.data(), bias.data(), 0.01f,
                           Parts{any(1, 4)});
    expected.clear();
    for (std::size_t item = 0; item < batch; ++item)
      for (const double value : normed(x.data() + item * channels * plane, channels, plane, weight, bias, 0.01f))
        expected.push_back(value);
    if (!agree("norm", y, expected, 1e-5)) return 1;
  }
  std::printf("%d shapes right\n", rounds);
}
