package org.elasticsearch.plugins; // LoadedPlugin's constructor is package-private

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.elasticsearch.Version;
import org.elasticsearch.common.settings.Settings;

/** Takes plugins from the class path, where a distribution has a folder for each. */
public final class ClasspathPlugins extends PluginsService {
    private final List<LoadedPlugin> loaded = new ArrayList<>();

    public ClasspathPlugins(Settings settings, Path config, PluginsLoader loader, List<Class<? extends Plugin>> classes) {
        super(settings, config, loader);
        for (Class<? extends Plugin> type : classes) {
            String name = type.getName();
            PluginDescriptor descriptor = new PluginDescriptor(
                name, name, "none", Version.CURRENT.toString(), "21", name, null, List.of(), false, false, false, false, null);
            loaded.add(new LoadedPlugin(descriptor, loadPlugin(type, settings, config), type.getClassLoader()));
        }
    }

    @Override
    protected List<LoadedPlugin> plugins() {
        return loaded == null ? List.of() : loaded; // asked by the constructor above us, before the field is set
    }
}
