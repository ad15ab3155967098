package org.elasticsearch.node; // NodeConstruction and NodeServiceProvider are package-private

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.plugins.ClasspathPlugins;
import org.elasticsearch.plugins.PluginsLoader;
import org.elasticsearch.plugins.PluginsService;
import org.elasticsearch.transport.netty4.Netty4Plugin;
import sheaf.RootPlugin;

/** One node on loopback: `TestNode HOME HTTP_PORT`. Its data is in HOME/data; SIGTERM closes it in order. */
public final class TestNode extends Node {
    private static final class Services extends NodeServiceProvider {
        @Override
        PluginsService newPluginService(Environment environment, PluginsLoader loader) {
            return new ClasspathPlugins(
                environment.settings(), environment.configDir(), loader, List.of(Netty4Plugin.class, RootPlugin.class));
        }
    }

    private TestNode(Environment environment) {
        super(NodeConstruction.prepareConstruction(
            environment, PluginsLoader.createPluginsLoader(Set.of(), Set.of(), Map.of(), false), new Services(), true));
    }

    public static void main(String[] args) throws Exception {
        Path home = Path.of(args[0]).toAbsolutePath();
        Settings settings = Settings.builder()
            .put("path.home", home.toString())
            .put("cluster.name", "sheaf-test")
            .put("node.name", "one")
            .put("discovery.type", "single-node")
            .put("network.host", "127.0.0.1")
            .put("http.port", args[1])
            .put("transport.port", "0")
            .put("path.repo", home.resolve("snapshots").toString())
            // A nearly full disk of the machine that tests run on is no part of any test.
            .put("cluster.routing.allocation.disk.threshold_enabled", "false")
            .build();
        LogConfigurator.configureESLogging();
        LogConfigurator.configureWithoutConfig(settings);
        Node node = new TestNode(new Environment(settings, Files.createDirectories(home.resolve("config"))));
        CountDownLatch closed = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            try {
                node.prepareForClose();
                node.close();
                node.awaitClose(10, TimeUnit.SECONDS);
            } catch (Exception error) {
                error.printStackTrace();
            }
            closed.countDown();
        }));
        node.start();
        closed.await();
    }
}
