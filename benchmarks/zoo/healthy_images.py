"""The table of healthy networks on images, and of what generates images."""

from __future__ import annotations

import keras
import numpy as np

from benchmarks.zoo import data
from benchmarks.zoo import generative_nets as generative
from benchmarks.zoo import image_nets as nets
from benchmarks.zoo.blocks import chain, graph
from benchmarks.zoo.subject import CROSSENTROPY, Subject, adam, sgd

losses = keras.losses


def real_or_noise(rng, count):
    x, _ = data.images(low=-1.0)(rng, count)
    y = rng.integers(0, 2, (count, 1)).astype("float32")
    noise = rng.uniform(-1, 1, x.shape)
    return (y[..., None, None] * (x - noise) + noise).astype("float32"), y


def latent(rng, count):
    return rng.normal(size=(count, 16)).astype("float32"), np.ones((count, 1), "float32")


def _images(body, size=16, **options):
    return Subject(build=graph((size, size, 1), body), data=data.images(size), **options)


def _chain(make, size=8, low=0.0, high=1.0, **options):
    draw = data.images(size, low=low, high=high)
    return Subject(build=chain((size, size, 1), make), data=draw, **options)


BINARY = losses.BinaryCrossentropy(from_logits=True)
IMAGES = {
    "LeNet": _chain(nets.lenet, 32, loss=CROSSENTROPY),
    "LeNet on [-1, 1], SGD": _chain(
        nets.lenet, 32, -1.0, loss=CROSSENTROPY, optimizer=sgd(0.05, 0.9)
    ),
    "simple CNN": _chain(nets.simple_cnn, 16, loss=CROSSENTROPY, epochs=12),
    "Rescaling layer on 0-255 images": _chain(
        nets.rescaled, 16, high=255.0, loss=CROSSENTROPY, epochs=12
    ),
    "GroupNorm CNN": _chain(nets.group_normed),
    "ResNet": _images(nets.resnet("ones"), 8),
    "ResNet, zero gamma": _images(nets.resnet("zeros"), 8),
    "ResNet, SGD rate 0.1": _images(nets.resnet("zeros"), 8, optimizer=sgd(0.1, 0.9)),
    "preactivated ResNet": _images(nets.preactivated, 8),
    "DenseNet": _images(nets.densenet, 8),
    "separable with BatchNorm": _images(nets.separable, 8),
    "squeeze and excitation": _images(nets.excited, 8),
    "Inception": _images(nets.inception, 8, epochs=12),
    "inverted residuals": _images(nets.inverted, 8),
    "ConvNeXt": _images(nets.convnext(1e-6)),
    "ReZero": _images(nets.convnext(0.0)),
    "ViT": _images(nets.vit),
    "MLP-Mixer": _images(nets.mixer),
    "U-Net": Subject(
        build=graph((16, 16, 1), nets.unet), data=data.masks, loss="binary_crossentropy"
    ),
    "autoencoder": Subject(
        build=chain((64,), generative.autoencoder),
        data=data.itself(data.pixels),
        loss="mse",
        optimizer=adam(3e-3),
        epochs=15,
    ),
    "convolutional autoencoder": Subject(
        build=chain((8, 8, 1), generative.conv_autoencoder),
        data=data.itself(data.images()),
        loss="binary_crossentropy",
        optimizer=adam(3e-3),
        epochs=12,
    ),
    "VAE": Subject(
        build=graph((64,), generative.vae), data=data.itself(data.pixels), loss="mse", epochs=12
    ),
    "GAN discriminator": Subject(
        build=chain((8, 8, 1), generative.discriminator), data=real_or_noise, loss=BINARY
    ),
    "GAN generator before a held discriminator": Subject(
        build=generative.combined,
        data=latent,
        loss=BINARY,
        optimizer=adam(2e-3, beta_1=0.5),
        epochs=15,
    ),
    "GAN": Subject(
        build=generative.adversaries,
        data=data.itself(data.images(low=-1.0)),
        loss=None,
        falls=False,
    ),
    "PointNet": Subject(build=graph((32, 3), nets.point_net), data=data.points, epochs=12),
    "deep set with a sum": Subject(
        build=graph((32, 3), nets.deep_set), data=data.points, epochs=12
    ),
}
